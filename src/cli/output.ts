import { once } from 'node:events'
import { isVaultError } from '../errors.ts'

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

/** What a verb was told to do it to is not there: the code alone does not say what. Other errors go on. */
export function failMissing (what: string): (error: unknown) => never {
  return (error) => {
    if (!isVaultError(error, 'not_found')) throw error
    return fail(what)
  }
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

/** As the shell says it of a program whose reader went away (128 + SIGPIPE). */
const READER_GONE = 141

/** Prints lines as fast as they are taken; ends early, with that exit code, when nobody takes them any more. */
export async function printLines (lines: AsyncIterable<string>): Promise<void> {
  const { stdout } = process
  let gone = false
  const note = (error: Error) => {
    if (!('code' in error) || error.code !== 'EPIPE') throw error
    gone = true
    process.exitCode = READER_GONE
  }
  stdout.on('error', note)
  for await (const line of lines) {
    // A reader that is slower than the database is waited for.
    if (!stdout.write(`${line}\n`)) await Promise.race([once(stdout, 'drain'), once(stdout, 'close')]).catch(note)
    if (gone) return
  }
}

const BAR_WIDTH = 30
const PLAIN_EVERY_MS = 10_000

/** Shows how far something is. `part` is between 0 and 1, if that is known. */
export type Progress = (text: string, part: number | undefined, last: boolean) => void

/** In a terminal a bar that moves; elsewhere a line now and then, and the last one. */
export function createProgress (to: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>): Progress {
  let plainAt = -Infinity
  return (text, part, last) => {
    if (to.isTTY) {
      const filled = Math.round(Math.min(1, part ?? 0) * BAR_WIDTH)
      const line = `${part === undefined ? '' : `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] `}${text}`
      // A line that wraps can't be taken back.
      to.write(`\r\x1b[K${to.columns > 0 ? line.slice(0, to.columns - 1) : line}${last ? '\n' : ''}`)
    } else if (last || performance.now() - plainAt >= PLAIN_EVERY_MS) {
      plainAt = performance.now()
      to.write(`${text}\n`)
    }
  }
}
