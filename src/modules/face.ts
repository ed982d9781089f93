/**
 * The public face of DeadPool towards modules: what `import … from 'deadpool'` gives, in the binary and beside it.
 * Modules import nothing else of DeadPool.
 */
export * as z from 'zod'
export { seconds } from '../config/duration.ts'
export {
  type CheckContext,
  type CriterionSpec,
  defineProbe,
  type Facts,
  type Probe,
  type ProbeDefinition,
  type ProbeLog,
} from './define-probe.ts'
export { Dead, Unknown } from './errors.ts'
export { lookup } from './lookup.ts'
