import { statSync } from 'node:fs'
import type { Bench } from './bench.ts'
import { atMost, formatNumber, type Row } from './row.ts'

/** How large is the one file that an installation copies? */
export async function measureSize({ binary }: Bench): Promise<Row[]> {
  const megabytes = statSync(binary).size / 1e6
  return [
    { figure: 'size of the binary', deadpool: `${formatNumber(megabytes)} MB`, aim: atMost(120, megabytes, 'MB') },
  ]
}
