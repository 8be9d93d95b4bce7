import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { AgentError } from './action.ts'

/** Where the agent gets a credential from, on its own machine. It is never sent to the vault. */
export type CredentialSource =
  /** An environment variable. */
  | { readonly env: string }
  /** A file that nobody but its owner can read (0600); white space around its content is dropped. */
  | { readonly file: string }
  /** What a program prints, such as a secret manager's; asked again after `ttlSeconds` (60). */
  | { readonly command: readonly [string, ...string[]], readonly ttlSeconds?: number }

export type CredentialSources = Readonly<Record<string, CredentialSource>>

const COMMAND_TIMEOUT_MS = 10_000
const OTHERS = 0o077
const run = promisify(execFile)

/** Reads all sources anew, but for commands whose time is not over. Throws an Error that names the source, never a value. */
export function createCredentialReader (sources: CredentialSources): () => Promise<Record<string, string>> {
  const printed = new Map<string, { value: string, untilMs: number }>()

  const read = async (name: string, source: CredentialSource): Promise<string> => {
    if ('env' in source) return requireValue(name, process.env[source.env], `the environment variable ${source.env}`)
    if ('file' in source) return requireValue(name, await readPrivateFile(source.file), source.file)
    const known = printed.get(name)
    if (known !== undefined && performance.now() < known.untilMs) return known.value
    const [program, ...args] = source.command
    const { stdout } = await run(program, args, { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 65_536 }).catch((error: unknown) => {
      // What the program has printed may be the credential.
      throw new Error(`the command of the credential ${name} failed (${(error as { code?: string | number }).code ?? 'unknown'})`)
    })
    const value = requireValue(name, stdout.trim(), `what ${program} prints`)
    printed.set(name, { value, untilMs: performance.now() + (source.ttlSeconds ?? 60) * 1_000 })
    return value
  }
  return async () => Object.fromEntries(await Promise.all(Object.entries(sources).map(async ([name, source]) => [name, await read(name, source)] as const)))
}

/** Throws an AgentError when others than its owner can read it. */
export async function readPrivateFile (path: string): Promise<string> {
  const { mode } = await stat(path)
  if (process.platform !== 'win32' && (mode & OTHERS) !== 0) throw new AgentError(2, `${path} can be read by others: chmod 600`)
  return (await readFile(path, 'utf8')).trim()
}

function requireValue (name: string, value: string | undefined, source: string): string {
  // Callers are told of the credential; where it comes from is only the agent's log to say.
  if (value === undefined || value === '') throw new Error(`the credential ${name} is empty`, { cause: `${source} is ${value === undefined ? 'not set' : 'empty'}` })
  return value
}
