/** The only room that prints. */
export function print (text: string): void {
  console.log(text)
}

export function printError (text: string): void {
  console.error(text)
}

/** Ends a verb that can't do what it was told, with its reason. */
export class UsageError extends Error {}

export function fail (reason: string): never {
  throw new UsageError(reason)
}

/** Columns as wide as their widest cell. */
export function table (head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  return [head, ...rows].map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')
}

/** The first row is the head. */
export function printTable ([head = [], ...rows]: readonly (readonly string[])[]): void {
  print(table(head, rows))
}

const BAR_WIDTH = 30
let shown = ''

/** In a terminal a bar that moves; elsewhere a line whenever there is something new. */
export function printProgress (text: string, part: number | undefined, last: boolean): void {
  if (process.stdout.isTTY) {
    const filled = Math.round(Math.min(1, part ?? 0) * BAR_WIDTH)
    process.stdout.write(`\r\x1b[K${part === undefined ? '' : `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] `}${text}${last ? '\n' : ''}`)
  } else if (text !== shown) print(text)
  shown = text
}
