import type { FactType } from '../modules/define-probe.ts'

export type { FactType }

/** Judges one fact of one check: why it does not hold, without the fact's name, or undefined when it holds. */
export type Judge = (value: unknown) => string | undefined

/** One type of criterion, as `type:` names it under `success_criteria`. */
export interface CriterionType {
  name: string
  /** One sentence for the reference: when a fact holds. */
  summary: string
  /** The types of facts that it can judge; on any other, a criterion of this type is a mistake. */
  judges: readonly FactType[]
  /**
   * Reads the criterion's `query` once, when the configuration is loaded; the judge it makes never throws. A value that
   * is not of a type it can judge fails with that reason, whether the criterion asks for something or forbids it.
   *
   * @param factType the type of the fact, where it is known before a check reports it
   * @throws CriterionError when the query cannot be one of this type; its path starts inside the query
   */
  compile(query: unknown, factType?: FactType): Judge
}

/** Makes the judge of one criterion inside another; throws a {@link CriterionError} as `compileCriterion()` does. */
export type CompileCriterion = (spec: unknown, factType?: FactType) => Judge

/** Thrown for a criterion that cannot be used; the message says what was found and what is allowed. */
export class CriterionError extends Error {
  override name = 'CriterionError'
  /** Where the mistake is, seen from the criterion: `['query', 1]`. */
  readonly path: readonly (string | number)[]

  constructor(message: string, path: readonly (string | number)[] = [], options?: ErrorOptions) {
    super(message, options)
    this.path = path
  }
}
