/** Judges one fact of one check: why it does not hold, without the fact's name, or undefined when it holds. */
export type Judge = (value: unknown) => string | undefined

/** One type of criterion, as `type:` names it under `success_criteria`. */
export interface CriterionType {
  name: string
  /** One sentence for the reference: when a fact holds. */
  summary: string
  /**
   * Reads the criterion's `query` once, when the configuration is loaded; the judge it makes never throws.
   *
   * @throws CriterionError when the query cannot be one of this type; its path starts inside the query
   */
  compile(query: unknown): Judge
}

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
