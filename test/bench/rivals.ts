import { type ChildProcess, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TOKEN } from '../e2e/binary.ts'
import { freePort } from '../e2e/nginx.ts'
import type { Bench } from './bench.ts'
import { findProgram, startProgram, startScript, stopProgram, waitForPort } from './programs.ts'

/** A server that answers a load balancer. */
export interface Server {
  name: string
  url: string
  pid: number
  stop(): Promise<void>
}

/** Bare `node:http` on the Node that is also in the binary. */
export async function startBare(): Promise<Server> {
  const port = await freePort()
  return serve('bare node:http', port, startScript('bare-server.ts', [`${port}`]))
}

/** One process of nginx that checks the token and answers a constant; undefined where it is not installed. */
export async function startNginx({ folder, note }: Bench): Promise<Server | undefined> {
  const nginx = findProgram('nginx')
  if (!nginx) return missing(note, 'nginx', 'nginx')
  const port = await freePort()
  const home = mkdtempSync(join(folder, 'nginx-'))
  writeFileSync(
    join(home, 'nginx.conf'),
    `daemon off; master_process off; pid ${home}/pid; error_log ${home}/error.log;
events { worker_connections 256; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path ${home}/b; proxy_temp_path ${home}/p; fastcgi_temp_path ${home}/f;
  uwsgi_temp_path ${home}/u; scgi_temp_path ${home}/s;
  server {
    listen 127.0.0.1:${port} backlog=1024; default_type text/plain;
    add_header Cache-Control no-store; add_header Vary accept;
    location / {
      if ($http_authorization != "Bearer ${TOKEN}") { return 511 "Auth ERR"; }
      return 200 "OK\\nTEST SERVER\\n";
    }
  }
}
`,
  )
  return serve('nginx', port, startProgram(nginx, ['-c', `${home}/nginx.conf`, '-e', `${home}/error.log`]))
}

/** What the seed's Python does for ten probes, on Flask's own server; undefined where Flask is not installed. */
export async function startFlask({ folder, note }: Bench): Promise<Server | undefined> {
  const python = '/usr/bin/python3'
  if (spawnSync(python, ['-c', 'import flask']).status !== 0) return missing(note, 'Flask', 'python3-flask')
  const port = await freePort()
  const flags = join(folder, 'flask')
  mkdirSync(flags)
  const program = `
import os
from flask import Flask, request
app = Flask(__name__)
PROBES = ['component-%d' % i for i in range(10)]
@app.route('/')
def answer():
    if request.headers.get('Authorization') != 'Bearer ${TOKEN}':
        return 'Auth ERR', 511
    dead = [p for p in PROBES if os.path.exists(os.path.join('${flags}', p + '.dead'))]
    return ('DEAD ' + ', '.join(dead), 503) if dead else 'OK'
app.run('127.0.0.1', ${port})
`
  // It writes a line to standard error for each request.
  return serve("Flask's own server", port, startProgram(python, ['-c', program], { stdio: 'ignore' }))
}

async function serve(name: string, port: number, child: ChildProcess): Promise<Server> {
  await waitForPort(port)
  return { name, url: `http://127.0.0.1:${port}/`, pid: child.pid as number, stop: () => stopProgram(child) }
}

function missing(note: Bench['note'], name: string, debianPackage: string): undefined {
  note(`${name} is missing: apt-get install ${debianPackage}`)
}
