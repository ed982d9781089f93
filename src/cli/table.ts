import { styleText } from 'node:util'
import stringWidth from 'string-width'
import { toOneLine } from '../log/line-text.ts'

export type Color = 'red' | 'yellow' | 'green' | 'gray' | 'bold'

/** Text that may be coloured. */
export interface Cell {
  text: string
  color?: Color | undefined
}

/** What the lines are written for: a terminal of some columns, or, without `width`, a pipe. */
export interface Look {
  width: number | undefined
  color: boolean
}

const GAP = '  '

/** Writes rows in columns. Whatever is in the cells, each row is one line, and no longer than the terminal is wide. */
export function writeTable(rows: readonly (readonly Cell[])[], look: Look): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, { text }] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, stringWidth(toOneLine(text)))
    }
  }
  return rows.map((row) => writeRow(row, widths, look))
}

/** Writes one line, cut to the terminal's width. */
export function writeLine(text: string, look: Look, color?: Color): string {
  return writeRow([{ text, color }], [], look)
}

function writeRow(row: readonly Cell[], widths: readonly number[], { width, color }: Look): string {
  let line = ''
  let left = width ?? Number.POSITIVE_INFINITY
  for (const [column, cell] of row.entries()) {
    const isLast = column === row.length - 1
    const gap = column === 0 ? '' : GAP
    if (left <= gap.length) break
    const text = fit(toOneLine(cell.text), left - gap.length)
    const padding = isLast ? 0 : Math.max(0, (widths[column] ?? 0) - stringWidth(text))
    line += `${gap}${color && cell.color ? paint(cell.color, text) : text}${' '.repeat(padding)}`
    left -= gap.length + stringWidth(text) + padding
  }
  return line.trimEnd()
}

function paint(color: Color, text: string): string {
  return styleText(color, text, { validateStream: false })
}

const graphemes = new Intl.Segmenter()

/** Shortens a text to that many columns of a terminal, with an ellipsis and never inside a character. */
export function fit(text: string, width: number): string {
  if (text.length * 2 <= width || stringWidth(text) <= width) return text
  let cut = ''
  let used = 1
  for (const { segment } of graphemes.segment(text)) {
    used += stringWidth(segment)
    if (used > width) break
    cut += segment
  }
  return `${cut}…`
}
