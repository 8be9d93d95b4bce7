import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { eventually } from './vault.ts'

const CLI = new URL('../../src/cli.ts', import.meta.url).pathname

/** As `npm start` and the image run it. */
const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { scripts: { start: string } }
const SERVE_FLAGS = scripts.start.split(' ').filter((word) => word.startsWith('--'))

/** What is compiled once is not compiled with each of the many processes that tests start. */
const NODE_COMPILE_CACHE = new URL('../../node_modules/.cache/connection-vault/compiled', import.meta.url).pathname

/** A vault as a process of its own, so that it can be measured and killed. */
export interface VaultProcess {
  readonly child: ChildProcess
  readonly pid: number
  readonly urls: Readonly<Record<'internal' | 'public' | 'operations', string>>
  /** All it has printed. */
  output (): string
  kill (signal: NodeJS.Signals): Promise<number | null>
}

/** Starts `connection-vault serve` and waits until all three listeners are open. */
export async function startVaultProcess (env: Record<string, string>): Promise<VaultProcess> {
  const { child, output } = runCli(['serve'], { INTERNAL_PORT: '0', PUBLIC_PORT: '0', OPERATIONS_PORT: '0', ...env })
  const urls = await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`the vault ended: ${output()}`)
    const found = [...output().matchAll(/^\{.*"listener":"(\w+)","host":"([^"]+)","msg":"listening"\}$/gm)].map(([, name, url]) => [name, url])
    return found.length === 3 && Object.fromEntries(found) as VaultProcess['urls']
  }, 30_000).catch((error: unknown) => {
    child.kill('SIGKILL')
    throw error
  })
  return {
    child,
    pid: child.pid ?? 0,
    urls,
    output,
    kill: async (signal) => {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
      const ended = new Promise<number | null>((resolve) => { child.once('exit', resolve) })
      child.kill(signal)
      return await ended
    },
  }
}

export interface RunningCli {
  readonly child: ChildProcess
  output (): string
  readonly done: Promise<{ code: number | null, output: string }>
}

/** Runs a verb of the CLI. Nothing of this process's settings reaches it but what is given. */
export function runCli (args: readonly string[], env: Record<string, string>, input?: string): RunningCli {
  const { PATH = '', HOME = '', TMPDIR = '' } = process.env
  const inherited = { PATH, HOME, ...TMPDIR !== '' && { TMPDIR }, NODE_COMPILE_CACHE }
  const flags = args[0] === 'serve' ? SERVE_FLAGS : []
  const child = spawn(process.execPath, [...flags, CLI, ...args], { env: { ...inherited, ...env }, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] })
  child.stdin?.end(input)
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => { text += chunk.toString('utf8') })
  const output = () => text
  const done = new Promise<{ code: number | null, output: string }>((resolve) => { child.once('close', (code) => { resolve({ code, output: text }) }) })
  return { child, output, done }
}
