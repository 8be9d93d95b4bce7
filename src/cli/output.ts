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
