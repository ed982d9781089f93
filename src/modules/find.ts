import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Carried } from '../carried/carried.ts'
import type { Origin } from './module.ts'

/** The endings of a module file, in the order in which they are looked for. */
const ENDINGS = ['.ts', '.mts', '.mjs', '.js']

/** Finds the module `name`: a file in `folder` goes before the stock module of that name. */
export function findModule(name: string, folder: string, carried: Carried): Origin | undefined {
  const stock = carried.stock(name)
  const path = ENDINGS.map((ending) => join(folder, `${name}${ending}`)).find((file) => existsSync(file))
  if (path === undefined) return stock && { kind: 'stock' }
  // An unchanged copy of a stock module, as the installation has it, needs no thread of its own.
  return { kind: 'file', path, isStock: stock !== undefined && readText(path) === stock.source }
}

/** Tells one version of a module's file from another. */
export function fingerprintOf(origin: Origin | undefined): string {
  if (!origin || origin.kind === 'stock') return origin?.kind ?? 'none'
  const { ino, mtimeMs, size } = statSync(origin.path, { throwIfNoEntry: false }) ?? {}
  return [origin.path, ino, mtimeMs, size].join(' ')
}

/** The names of all modules that can be used: those in `folder`, and the stock modules. Sorted. */
export function listModules(folder: string, carried: Carried): string[] {
  const names = listFolder(folder).flatMap((file) => {
    const ending = ENDINGS.find((candidate) => file.endsWith(candidate))
    return ending && !/\.(?:d|test)\.m?[jt]s$/.test(file) ? [file.slice(0, -ending.length)] : []
  })
  return [...new Set([...names, ...carried.stockNames()])].sort()
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return [] // no folder: the stock modules are all there is
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // loading it will say what is wrong
  }
}
