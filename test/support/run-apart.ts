import { spawnSync } from 'node:child_process'

/** Runs a module without tap's instrumentation, which would report the set-up as the coverage of the whole run. */
export function runApart (module: string): void {
  const { PATH, HOME, TMPDIR } = process.env
  const env = Object.fromEntries(Object.entries({ PATH, HOME, TMPDIR, _TAPJS_PROCESSINFO_COVERAGE_: '0' }).filter(([, value]) => value !== undefined))
  const run = spawnSync(process.execPath, ['--input-type=module-typescript', '-'], { cwd: import.meta.dirname, env, input: module, stdio: ['pipe', 'inherit', 'inherit'] })
  process.exitCode = run.status ?? 1
}
