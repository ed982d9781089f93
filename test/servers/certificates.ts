import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Why nothing about TLS can be tested here; where skips are forbidden the tests fail instead. */
export function findMissingOpenssl(): string | false {
  if (process.env.DEADPOOL_TEST_NO_SKIP || !spawnSync('openssl', ['version']).error) return false
  return 'openssl is missing: apt-get install openssl'
}

/** A certificate with its key, and the authority that signed it: paths of PEM files. */
export interface Certificate {
  ca: string
  cert: string
  key: string
}

export interface CertificateOptions {
  /** As OpenSSL writes alternative names. */
  names?: string
  /** How long it holds; negative for one that has expired. */
  days?: number
}

/** Makes an authority called `name` in `folder`, and a certificate that it signed. */
export function createCertificate(folder: string, name: string, options: CertificateOptions = {}): Certificate {
  const { names = 'DNS:localhost,IP:127.0.0.1', days = 1 } = options
  const openssl = (args: string) => execFileSync('openssl', args.split(' '), { cwd: folder, stdio: 'pipe' })
  const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
  openssl(`req -x509 ${newKey} -keyout ${name}-ca.key -out ${name}-ca.pem -days 2 -subj /CN=${name}`)
  openssl(`req ${newKey} -keyout ${name}.key -out ${name}.csr -subj /CN=localhost`)
  writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${names}\n`)
  const ca = `-CA ${name}-ca.pem -CAkey ${name}-ca.key -CAcreateserial`
  openssl(`x509 -req -in ${name}.csr ${ca} -days ${days} -extfile ${name}.ext -out ${name}.pem`)
  return { ca: join(folder, `${name}-ca.pem`), cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) }
}
