import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { CONNECTIONS } from './harness.ts'

/** One row a case: the last run of it, with the ratios of the last three, where it ran, and on what commit. */
export function record (one: string, [about = '', ratio = '', ...cells]: readonly string[], value: number): void {
  const file = new URL('../docs/benchmarks.md', import.meta.url)
  const before = readRows(file)
  const known = before.find((row) => row.startsWith(`| ${one} |`))?.split(' | ')[3]?.split(', ') ?? []
  const row = `| ${[one, about, ratio, [...known, value].slice(-3).join(', '), ...cells, describeMachine(), describeCommit()].join(' | ')} |`
  writeFileSync(file, `# Benchmarks

Ratios, measured side by side in one run: our process and the reference take turns under the same load (${CONNECTIONS} connections, a load generator of its own process, a real Postgres with
fsync on), every answer is checked to be 2xx, the median of the rounds counts. Written by \`npm run bench -- <case>\`, or \`-- all\`; absolute numbers are this machine's, of which others have
the rest. *bar* is what must hold now, *goal* where it is to go (≥, or ≤ where less is better); a ratio beyond its bar is work to be done. What was tried for them is in
[ADR 21](adr/0021-a-remembered-row.md).

| case | what | ratio | last runs | rounds | ours | reference | p99 of ours | bar | goal | machine | commit |
|---|---|---|---|---|---|---|---|---|---|---|---|
${[...before.filter((old) => !old.startsWith(`| ${one} |`)), row].sort().join('\n')}
`)
}

function readRows (file: URL): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter((row) => row.startsWith('| ') && !row.startsWith('| case')) : []
}

function describeMachine (): string {
  return `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`
}

/** The page itself changes with every case, and is no part of what is measured. */
function describeCommit (): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8', cwd: new URL('..', import.meta.url).pathname }).trim()
  const changed = git('status', '--porcelain', '--', '.', ':!docs/benchmarks.md') !== ''
  return `${git('rev-parse', '--short', 'HEAD')}${changed ? '-dirty' : ''}`
}
