import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { getAsset } from 'node:sea'
import { Script } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { commit, libraries, modules, version } from 'virtual:built'
import type { Probe } from '../modules/define-probe.ts'
import * as face from '../modules/face.ts'
import type { Carried } from './carried.ts'

const requireBuiltin = createRequire('/')
const loaded = new Map<string, unknown>()

/** What the binary carries: its assets, put there by `build/build.ts`. */
export const carried: Carried = {
  version,
  commit,
  home: dirname(process.execPath),
  binary: process.execPath,
  stockNames: () => modules,
  stock(name) {
    if (!modules.includes(name)) return undefined
    return {
      get source() {
        return getAsset(`mod/${name}.ts`, 'utf8')
      },
      load: async () => load(`mod/${name}.cjs`) as { Probe: Probe },
    }
  },
  libraryNames: () => libraries,
  library: (name) => load(`lib/${name}.cjs`),
  startModuleThread: (workerData) =>
    new Worker(`${getAsset('app.cjs', 'utf8')}(require, module, exports)`, { eval: true, workerData }),
  types: async () => getAsset('deadpool.d.ts', 'utf8'),
  licences: async () => getAsset('licenses.txt', 'utf8'),
  paper: async (name) => getAsset(name, 'utf8'),
}

/** Calls a bundle of the assets, once in each thread: what nobody uses costs nothing. */
function load(asset: string): unknown {
  const known = loaded.get(asset)
  if (known) return known
  const bundle = { exports: {} }
  new Script(getAsset(asset, 'utf8'), { filename: asset }).runInThisContext()(requireFor, bundle, bundle.exports)
  loaded.set(asset, bundle.exports)
  return bundle.exports
}

function requireFor(name: string): unknown {
  if (name === 'deadpool') return face
  return libraries.includes(name) ? carried.library(name) : requireBuiltin(name)
}
