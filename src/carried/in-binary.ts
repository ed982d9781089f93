import { dirname } from 'node:path'
import { getAsset } from 'node:sea'
import { Worker } from 'node:worker_threads'
import { commit, stock, version } from 'virtual:stock'
import type { Carried } from './carried.ts'

/** What the binary carries: its assets, put there by `build/build.ts`. */
export const carried: Carried = {
  version,
  commit,
  home: dirname(process.execPath),
  stockNames: () => Object.keys(stock),
  stock: (name) => (Object.hasOwn(stock, name) ? stock[name] : undefined),
  startModuleThread: (workerData) => new Worker(getAsset('app.cjs', 'utf8'), { eval: true, workerData }),
  types: async () => getAsset('deadpool.d.ts', 'utf8'),
}
