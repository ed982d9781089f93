import type { Worker } from 'node:worker_threads'
import type { Probe } from '../modules/define-probe.ts'

/** A stock module as the program carries it. */
export interface StockModule {
  /** The text of its file in `mod/`. */
  readonly source: string
  load(): Promise<{ Probe: Probe }>
}

/** What goes beside the binary where it is installed, by its name in the build. */
export const PAPERS = [
  'man/deadpool.1',
  'man/deadpool.yml.5',
  'systemd/deadpool.service',
  'systemd/deadpool.socket',
] as const

export type Paper = (typeof PAPERS)[number]

/**
 * What the program carries inside itself. `#carried` is this: in the binary its assets, in a checkout the sources. The
 * rest of the code does not know which.
 */
export interface Carried {
  version: string
  /** The commit it was built from, shortened, with `+` when the tree had changes; empty in a checkout. */
  commit: string
  /** The folder of the binary, or of the checkout: `mod/` and `deadpool.yml` are looked for there. */
  home: string
  /** The executable, which can be copied; undefined in a checkout. */
  binary: string | undefined
  stockNames(): string[]
  stock(name: string): StockModule | undefined
  /** The packages that a module can import without having them installed: those of the stock modules, and ky. */
  libraryNames(): string[]
  /** Loads one of them when it is first asked for. */
  library(name: string): unknown
  /** Starts a worker thread that runs `src/modules/thread-main.ts`. */
  startModuleThread(workerData: unknown): Worker
  /** The `.d.ts` of the virtual module `deadpool`. */
  types(): Promise<string>
  /** The licences of everything inside the binary, Node's own included. */
  licences(): Promise<string>
  /** A text that an installation needs: a unit of systemd, or a page of the manual. */
  paper(name: Paper): Promise<string>
}

/** Tells builds of one version apart: `0.1.0+8712a65e9e80`, as SemVer writes it. */
export function nameBuild({ version, commit }: Pick<Carried, 'version' | 'commit'>): string {
  return commit ? `${version}+${commit.replace('+', '.dirty')}` : version
}
