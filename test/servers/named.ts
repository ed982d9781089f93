import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitFor } from '../e2e/binary.ts'
import { canConnect, freePort } from '../e2e/nginx.ts'
import type { Certificate } from './certificates.ts'
import { findMissing, type ServerProcess, startProcess } from './process.ts'

/** Why no BIND can be started here; where skips are forbidden the tests fail instead. */
export function findMissingNamed(): string | false {
  return findMissing('named', 'bind9')
}

export interface Named extends ServerProcess {
  /** UDP and TCP. */
  port: number
  /** Where it speaks DNS over TLS, if it was given a certificate. */
  tlsPort: number
}

/** Starts a real BIND that answers for `zone`, an origin with its records, and asks nobody else. */
export async function startNamed(
  zone: { origin: string; records: string },
  { tls }: { tls?: Certificate } = {},
): Promise<Named> {
  const port = await freePort()
  const tlsPort = tls ? await freePort() : 0
  const server = await startProcess({
    program: 'named',
    args(folder) {
      chmodSync(folder, 0o755)
      const secure = tls ? `tls own { cert-file "${tls.cert}"; key-file "${tls.key}"; };\n` : ''
      const listenTls = tls ? `listen-on port ${tlsPort} tls own { 127.0.0.1; };` : ''
      writeFileSync(join(folder, 'zone'), `$ORIGIN ${zone.origin}.\n${zone.records}`)
      writeFileSync(
        join(folder, 'named.conf'),
        `${secure}options {
  directory "${folder}"; pid-file none; session-keyfile none; managed-keys-directory "${folder}";
  listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; ${listenTls}
  recursion no; dnssec-validation no; notify no; empty-zones-enable no;
};
controls { };
zone "${zone.origin}" { type primary; file "zone"; };
`,
      )
      return ['-g', '-n', '1', '-c', join(folder, 'named.conf')]
    },
    isReady(log) {
      if (log.includes('not loaded due to errors')) throw new Error(`it ended at once:\n${log}`)
      return log.includes('all zones loaded')
    },
  })
  await waitFor('named', () => canConnect(port))
  return { ...server, port, tlsPort }
}
