import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'

const home = join(import.meta.dirname, '..')
const zod = join(home, 'node_modules/zod')

const HEADER = `/*
 * What a module of DeadPool imports from 'deadpool', for editors and tsc. Written by: deadpool modules --types
 *
 * Put this file where a tsconfig.json beside your modules includes it. It needs nothing else but @types/node.
 */
`

/**
 * Makes the types of the virtual module `deadpool`, one text that needs no `node_modules`: the declarations of
 * `src/modules/face.ts` and all they stand on, each file as an ambient module. Zod is in it, with its licence.
 *
 * @throws Error when the face leans on a package that is not in it
 */
export async function bundleTypes(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'deadpool-types-'))
  try {
    await emitDeclarations(folder)
    const licence = await readFile(join(zod, 'LICENSE'), 'utf8')
    const modules = await wrapReachable(join(folder, 'modules/face.d.ts'), folder)
    return [HEADER, ...modules.own, `/*\n${licence.trim()}\n*/\n`, ...modules.zod].join('\n')
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function emitDeclarations(folder: string): Promise<void> {
  const tsc = join(home, 'node_modules/typescript/bin/tsc')
  const emit = ['--declaration', '--emitDeclarationOnly', '--rootDir', 'src', '--outDir', folder]
  const rules = ['--strict', '--exactOptionalPropertyTypes', '--allowImportingTsExtensions', '--skipLibCheck']
  const platform = ['--target', 'es2024', '--lib', 'es2024', '--module', 'nodenext', '--types', 'node']
  const args = [tsc, '--ignoreConfig', ...emit, ...rules, ...platform, 'src/modules/face.ts']
  await promisify(execFile)(process.execPath, args, { cwd: home })
}

/** Wraps a declaration file and all it leads to, in the order in which they are first named. */
async function wrapReachable(face: string, folder: string): Promise<{ own: string[]; zod: string[] }> {
  const wrapped = { own: [] as string[], zod: [] as string[] }
  const files = new Set([face])
  for (const file of files) {
    const text = await readFile(file, 'utf8')
    const rewritten = text.replace(SPECIFIER, (statement, before: string, specifier: string) => {
      const target = findTarget(specifier, file)
      if (target === undefined) return statement
      files.add(target)
      return `${before}'${nameOf(target, folder)}'`
    })
    const list = isZod(file) ? wrapped.zod : wrapped.own
    list.push(`declare module '${nameOf(file, folder)}' {\n${indent(rewritten.replace(DECLARE, '$1'))}}\n`)
  }
  return wrapped
}

/** The specifier of an import or export statement. Others are in examples of comments. */
const SPECIFIER = /^((?:import|export)\b[^;'"]*?\bfrom )["']([^"']+)["']/gm

/** The `declare` of a statement, which an ambient module has around all of it. */
const DECLARE = /^(export )?declare /gm

function findTarget(specifier: string, importer: string): string | undefined {
  if (specifier === 'zod') return join(zod, 'index.d.ts')
  if (specifier.startsWith('node:')) return undefined
  if (specifier.startsWith('.')) return resolve(dirname(importer), specifier.replace(/\.[jt]s$/, '.d.ts'))
  throw new Error(`The face of DeadPool leans on the types of "${specifier}", which a module cannot be given`)
}

function nameOf(file: string, folder: string): string {
  const stem = file.replace(/\.d\.ts$/, '')
  if (isZod(file)) return `deadpool/zod/${relative(zod, stem)}`
  const path = relative(folder, stem)
  return path === 'modules/face' ? 'deadpool' : `deadpool/${path}`
}

function isZod(file: string): boolean {
  return file.startsWith(zod)
}

function indent(text: string): string {
  return `${text.trimEnd().replace(/^(?=.)/gm, '  ')}\n`
}
