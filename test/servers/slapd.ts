import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitFor } from '../e2e/binary.ts'
import { canConnect, freePort } from '../e2e/nginx.ts'
import type { Certificate } from './certificates.ts'
import { findMissing, type ServerProcess, startProcess } from './process.ts'

/** Why no OpenLDAP can be started here; where skips are forbidden the tests fail instead. */
export function findMissingSlapd(): string | false {
  return findMissing('slapd', 'slapd')
}

/** A real OpenLDAP without a database; it tells about itself all the same. */
export async function startSlapd({ tls }: { tls?: Certificate } = {}): Promise<ServerProcess & { port: number }> {
  const port = await freePort()
  const server = await startProcess({
    program: 'slapd',
    args(folder) {
      const secure = tls ? `TLSCertificateFile ${tls.cert}\nTLSCertificateKeyFile ${tls.key}\n` : ''
      const config = join(folder, 'slapd.conf')
      writeFileSync(config, `include /etc/ldap/schema/core.schema\n${secure}`)
      return ['-f', config, '-h', `ldap://127.0.0.1:${port}/`, '-d', '256']
    },
    isReady: (log) => log.includes('slapd starting'),
  })
  await waitFor('slapd', () => canConnect(port))
  return { ...server, port }
}
