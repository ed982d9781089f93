import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../e2e/nginx.ts'
import type { Certificate } from './certificates.ts'
import { findMissing, type ServerProcess, startProcess } from './process.ts'

/** Why there can be no web server or proxy here; where skips are forbidden the tests fail instead. */
export function findMissingWeb(): string | false {
  return findMissing('nginx', 'nginx-light') || findMissing('tinyproxy', 'tinyproxy-bin')
}

/**
 * A real nginx. Over TLS it is several servers on one port, `one.test` and `two.test` each with its certificate: the name that
 * is asked for (SNI) decides which certificate it shows, and the header Host which of them answers. Those two take certificates of
 * clients and refuse a Host that is not the name asked for, as nginx then does; `free.test`, with the certificate of `one`, does not.
 */
export interface Web extends ServerProcess {
  /** HTTP/1. */
  port: number
  /** HTTP/2 without TLS, and nothing else. */
  http2Port: number
  /** TLS, with HTTP/1 and HTTP/2. */
  tlsPort: number
}

export interface WebOptions {
  one: Certificate
  two: Certificate
}

/**
 * Starts it: `/who` tells whom it asked for and who was shown, `/basic` and `/bearer` want credentials, `/members` a certificate
 * signed by the authority of `one`, `/login` sets a cookie that `/home` wants, `/to-two` redirects to `two.test`, `/packed` is
 * compressed for whoever takes it.
 */
export async function startWeb({ one, two }: WebOptions): Promise<Web> {
  const [port, http2Port, tlsPort] = [await freePort(), await freePort(), await freePort()]
  const locations = `
    default_type text/plain;
    location /who { return 200 "$server_name $server_protocol host=$http_host$http2 sni=$ssl_server_name client=$ssl_client_verify auth=$http_authorization$http_proxy_authorization cookie=$http_cookie"; }
    location /basic { auth_basic here; auth_basic_user_file users; try_files /hello =404; }
    location /bearer { if ($http_authorization != "Bearer t0ken") { return 401 "no"; } return 200 "yes"; }
    location /members { if ($ssl_client_verify != SUCCESS) { return 403 "$ssl_client_verify"; } return 200 "$ssl_client_s_dn"; }
    location /login { add_header Set-Cookie "session=abc; Path=/; HttpOnly"; add_header Set-Cookie "theme=dark"; return 302 /home; }
    location /home { if ($cookie_session != abc) { return 403 "no session"; } return 200 "at home: $http_cookie"; }
    location /login-to-two { add_header Set-Cookie "session=abc; Path=/"; return 302 https://two.test:${tlsPort}/who; }
    location /to-two { return 302 https://two.test:${tlsPort}/who; }
    location /to-one { return 302 https://one.test:${tlsPort}/who; }
    location /upgrade { return 301 https://one.test:${tlsPort}/members; }
    location /packed { gzip on; gzip_min_length 1; try_files /hello =404; }`
  const secured = (name: string, { cert, key }: Certificate, wants: 'optional' | 'off') => `
  server {
    listen 127.0.0.1:${tlsPort} ssl http2; server_name ${name}; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_client_certificate ${one.ca}; ssl_verify_client ${wants};
    ${locations}
  }`
  const names = [
    secured('one.test', one, 'optional'),
    secured('two.test', two, 'optional'),
    secured('free.test', one, 'off'),
  ]
  const server = await startProcess({
    program: 'nginx',
    args(folder) {
      writeFileSync(join(folder, 'hello'), 'hello '.repeat(1000))
      writeFileSync(join(folder, 'users'), 'ann:{PLAIN}s3cret\n')
      writeFileSync(
        join(folder, 'nginx.conf'),
        `daemon off; master_process off; pid ${folder}/pid; error_log stderr notice; user root;
events {}
http {
  access_log off; client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s; root ${folder};
  server { listen 127.0.0.1:${port}; server_name plain; ${locations} }
  server { listen 127.0.0.1:${http2Port} http2; server_name plain; ${locations} }${names.join('')}
}
`,
      )
      return ['-c', join(folder, 'nginx.conf'), '-e', 'stderr']
    },
    isReady: (log) => log.includes('using the "epoll" event method'),
  })
  return { ...server, port, http2Port, tlsPort }
}

/** A real tinyproxy, which wants the user `ann` and the password `s3cret` when it `isGuarded`. */
export interface TinyProxy extends ServerProcess {
  port: number
}

export async function startTinyProxy({ isGuarded = false } = {}): Promise<TinyProxy> {
  const port = await freePort()
  const server = await startProcess({
    program: 'tinyproxy',
    args(folder) {
      const guard = isGuarded ? 'BasicAuth ann s3cret\n' : ''
      const config = `Port ${port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 100\nLogLevel Info\n${guard}`
      writeFileSync(join(folder, 'tinyproxy.conf'), config)
      return ['-d', '-c', join(folder, 'tinyproxy.conf')]
    },
    isReady: (log) => log.includes('Accepting connections'),
  })
  return { ...server, port }
}
