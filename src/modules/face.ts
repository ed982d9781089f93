/**
 * The public face of DeadPool towards modules: what `import … from 'deadpool'` gives, in the binary and beside it.
 * Modules import nothing else of DeadPool.
 */
export * as z from 'zod'
export { seconds } from '../config/duration.ts'
export { quote } from '../criteria/quote.ts'
export { askHttp, dialFor, type HttpAnswer, type HttpQuestion } from './ask-http.ts'
export { type Credentials, formatBasic, readAuthorization } from './authorization.ts'
export {
  type CheckContext,
  type CriterionSpec,
  defineProbe,
  type FactSpec,
  type Facts,
  type FactType,
  type Probe,
  type ProbeDefinition,
  type ProbeLog,
} from './define-probe.ts'
export { certDays, type DialOptions, dial, type StartTlsOptions, startTls, type Target } from './dial.ts'
export { askDisk, DiskHangs, type DiskOptions } from './disk.ts'
export { Dead, Unknown } from './errors.ts'
export {
  awaitHttpAnswer,
  explainHttpError,
  type HttpBody,
  MAX_HEADER_BYTES,
  readHttpBody,
} from './http-answer.ts'
export { askHttp2, type Http2Answer, type Http2Question, type Http2Session } from './http2.ts'
export type { Keep } from './keep.ts'
export { lookup } from './lookup.ts'
export { msSince } from './ms-since.ts'
export { explainNetworkError } from './network-error.ts'
export { type Pattern, pattern } from './pattern.ts'
export { type Secret, secret } from './secret.ts'
export { createTlsOptions, DEFAULT_TLS, type TlsOptions, type TlsSettings, tlsSettings } from './tls.ts'
