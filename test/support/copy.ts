import type pg from 'pg'

type Value = string | number | boolean | null | Date | Buffer | readonly string[]

/** A row in the text format of COPY. */
export function copyRow (values: readonly Value[]): string {
  return `${values.map(toText).join('\t')}\n`
}

function toText (value: Value): string {
  if (value === null) return '\\N'
  if (typeof value === 'string') return escape(value)
  if (value instanceof Date) return value.toISOString()
  if (Buffer.isBuffer(value)) return `\\\\x${value.toString('hex')}`
  if (Array.isArray(value)) return escape(`{${value.map((one: string) => `"${one.replace(/["\\]/g, '\\$&')}"`).join(',')}}`)
  return String(value)
}

function escape (text: string): string {
  return text.replace(/[\\\t\n\r]/g, (char) => ({ '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' })[char] ?? char)
}

interface CopyConnection {
  query (text: string): void
  sendCopyFromChunk (chunk: Buffer): void
  endCopyFrom (): void
}

/** Sends rows with COPY: several times as fast as INSERT. The driver lets any object that speaks its protocol be a query. */
export async function copyInto (client: pg.Client, table: string, { columns, rows }: { columns: readonly string[], rows: readonly string[] }): Promise<void> {
  if (rows.length === 0) return
  await new Promise<void>((resolve, reject) => {
    client.query({
      submit: (connection: CopyConnection) => { connection.query(`copy ${table} (${columns.join(', ')}) from stdin`) },
      handleCopyInResponse: (connection: CopyConnection) => {
        connection.sendCopyFromChunk(Buffer.from(rows.join('')))
        connection.endCopyFrom()
      },
      handleCommandComplete: () => {},
      handleReadyForQuery: () => { resolve() },
      handleError: reject,
    } as unknown as pg.Submittable)
  })
}
