/** One line of the table: a figure of DeadPool, and what it is held against. */
export interface Row {
  /** What is measured. */
  figure: string
  /** DeadPool's own, written with its unit. */
  deadpool: string
  /** The other's, with its name and unit. */
  yardstick?: string
  /** DeadPool's divided by the yardstick's: the median over the rounds, not the ratio of the two medians beside it. */
  ratio?: number
  aim?: Aim
}

/** What a figure should reach, in words, and whether it does. */
export interface Aim {
  text: string
  isMet: boolean
}

export function atLeast(limit: number, value: number): Aim {
  return { text: `at least ${limit}`, isMet: value >= limit }
}

export function atMost(limit: number, value: number, unit = ''): Aim {
  return { text: `at most ${limit}${unit && ` ${unit}`}`, isMet: value <= limit }
}

/** Writes a number with three significant digits, and thousands apart. */
export function formatNumber(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 3 })
}

/** The table as markdown. */
export function formatTable(rows: readonly Row[]): string {
  const lines = rows.map(({ figure, deadpool, yardstick = '', ratio, aim }) => [
    figure,
    deadpool,
    yardstick,
    ratio === undefined ? '' : formatNumber(ratio),
    aim?.text ?? '',
    aim ? (aim.isMet ? 'met' : '**missed**') : '',
  ])
  const head = ['figure', 'DeadPool', 'yardstick', 'ratio', 'aim', '']
  const rule = head.map(() => '---')
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
