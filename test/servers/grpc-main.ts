import { readFileSync } from 'node:fs'
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import type { GrpcAnswer, GrpcOptions } from './grpc.ts'

/** The process of a gRPC server, told by its parent what to answer; see grpc.ts. */
const HEALTH = {
  HealthCheckRequest: { fields: { service: { type: 'string', id: 1 } } },
  HealthCheckResponse: {
    fields: { status: { type: 'ServingStatus', id: 1 } },
    nested: { ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } } },
  },
  Health: { methods: { Check: { requestType: 'HealthCheckRequest', responseType: 'HealthCheckResponse' } } },
}
const root = { nested: { grpc: { nested: { health: { nested: { v1: { nested: HEALTH } } } } } } }
const definition = fromJSON(root as unknown as Parameters<typeof fromJSON>[0], { enums: String, defaults: true })[
  'grpc.health.v1.Health'
] as ServiceDefinition

const { tls, hasHealth = true }: GrpcOptions = JSON.parse(process.argv[2] ?? '{}')
const answers = new Map<string, GrpcAnswer>([['', 'SERVING']])

const check = (call: ServerUnaryCall<{ service: string }, object>, callback: sendUnaryData<object>): void => {
  const { service } = call.request
  const deadline_ms = call.getDeadline().valueOf() - Date.now()
  process.send?.({ asked: { service, host: call.getHost(), metadata: call.metadata.getMap(), deadline_ms } })
  const answer = answers.get(service) ?? { code: 5, details: `unknown service ${service}` }
  if (answer === 'nothing') return
  if (typeof answer === 'string' || typeof answer === 'number') callback(null, { status: answer })
  else callback(answer)
}

const server = new Server()
if (hasHealth) server.addService(definition, { Check: check })
const credentials = tls
  ? ServerCredentials.createSsl(
      tls.clientCa === undefined ? null : readFileSync(tls.clientCa),
      [{ private_key: readFileSync(tls.key), cert_chain: readFileSync(tls.cert) }],
      tls.clientCa !== undefined,
    )
  : ServerCredentials.createInsecure()
server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
  if (error) throw error
  process.send?.({ port })
})

process.on('message', ({ service, answer }: { service: string; answer: GrpcAnswer }) => {
  answers.set(service, answer)
  process.send?.({ set: service })
})
process.on('disconnect', () => process.exit())
