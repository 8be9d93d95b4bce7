import { destination, pino, type DestinationStream, type Logger } from 'pino'
import { isVaultError } from './errors.ts'

/**
 * The log carries ids and measures, never values: what is not on this list is dropped, whoever
 * passes it. Messages are literals in the code.
 */
const FIELDS = new Set([
  'request_id', 'method', 'route', 'status', 'duration_ms', 'code', 'listener', 'principal', 'workspace_id', 'connection_id',
  'invocation_id', 'integration', 'environment', 'job', 'count', 'key_id', 'kek_id', 'migration', 'checkpoint', 'seq',
  'host', 'port', 'file', 'pid', 'signal', 'reason', 'error', 'table', 'row', 'keys', 'slot', 'days',
])

export type Log = Pick<Logger<never, boolean>, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'>

/** A logger on the allow-list, writing JSON lines to standard output unless told otherwise. */
export function createLog (level: string, stream: DestinationStream = destination({ fd: 1, sync: false })): Logger<never, boolean> {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }), log: pick } }, stream)
}

function pick (fields: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'err') kept['error'] = describeError(value)
    else if (FIELDS.has(name) && isScalar(value)) kept[name] = value
  }
  return kept
}

function isScalar (value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

/**
 * What may be said of an error: its class, its code and where it was thrown. The message stays
 * out, because drivers and parsers quote the data they stumbled over.
 */
export function describeError (error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const code = isVaultError(error) ? error.code : 'code' in error && typeof error.code === 'string' ? error.code : ''
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)).slice(0, 8).map((line) => line.trim())
  const cause = error.cause === undefined ? '' : ` < ${describeError(error.cause)}`
  return `${error.name}${code === '' ? '' : `(${code})`} ${frames.join(' ')}${cause}`
}
