import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describeSettings } from '../../src/config.ts'
import { ERRORS } from '../../src/errors.ts'
import { EMBEDDED_SUPERUSER, migrate, prepareEmbedded, startEmbeddedPostgres } from '../../src/store/index.ts'
import { describeClient } from './client-contract.ts'
import { dumpSchema } from './dump-schema.ts'
import { startVaultProcess } from './process.ts'

/**
 * Writes everything in the repository that is derived from something else. With `--check` nothing
 * is written: the exit code says whether all of it is up to date.
 */
const ROOT = new URL('../../', import.meta.url).pathname
const check = process.argv.includes('--check')

function describeErrors (): string {
  const rows = Object.entries(ERRORS).sort(([, a], [, b]) => a.status - b.status)
    .map(([code, { status, title, retryable, meaning }]) => `| \`${code}\` | ${status} | ${retryable ? 'yes' : 'no'} | ${title} | ${meaning.replaceAll('|', '\\|')} |`)
  return `# Errors

Every error is a problem document (RFC 9457) of the media type \`application/problem+json\`. \`code\` is stable; \`detail\` and \`errors[]\` say what is wrong in this case;
\`instance\` is the id of the request, which leads an operator to the log. Generated from \`src/errors.ts\` by \`npm run generate\`.

| code | status | retryable | title | what it means and what to do |
|---|---|---|---|---|
${rows.join('\n')}
`
}

async function derive (): Promise<Map<string, string>> {
  const dir = mkdtempSync(join(tmpdir(), 'connection-vault-generate-'))
  const cluster = await startEmbeddedPostgres({ dataDir: dir, settings: { fsync: 'off' } })
  try {
    const { owner, service } = await prepareEmbedded(cluster)
    await migrate(owner)
    const superUrl = cluster.url(EMBEDDED_SUPERUSER, 'connection_vault')
    const types = join(dir, 'schema.ts')
    const bin = join(ROOT, 'node_modules/.bin/kysely-codegen')
    const made = spawnSync(bin, ['--config-file', join(ROOT, 'test/support/kysely-codegen.json'), '--url', superUrl, '--out-file', types], { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(`kysely-codegen: ${made.stderr}${made.stdout}`)
    const vault = await startVaultProcess({ DATABASE_URL: service, DATA_DIR: dir })
    const openapi = await (await fetch(`${vault.urls.internal}/openapi.yaml`)).text()
    await vault.kill('SIGTERM')
    return new Map([
      ['openapi.yaml', openapi],
      ['.env.example', describeSettings()],
      ['docs/errors.md', describeErrors()],
      ['docs/schema.sql', await dumpSchema(superUrl)],
      ['src/store/schema.ts', readFileSync(types, 'utf8')],
      ...await describeClient(openapi),
    ])
  } finally {
    await cluster.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

for (const [file, text] of await derive()) {
  const path = join(ROOT, file)
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue
  if (check) {
    console.error(`${file} is not what it is derived from: run npm run generate`)
    process.exitCode = 1
    continue
  }
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  console.log(`${file} written`)
}
