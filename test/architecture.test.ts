import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { cruise, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser'
import t from 'tap'
import ts from 'typescript'

/** The seals of the architecture: each is a rule here, not a habit. */
const ROOT = new URL('..', import.meta.url).pathname

/** Rooms from top to bottom; those in one row are siblings. Imports go down only. */
const LAYERS = [
  ['http'], ['invoke'], ['connections'], ['calls'], ['catalog', 'access', 'oauth', 'relay', 'keys'], ['ledger'], ['egress'], ['store'], ['crypto'],
]

/** Who may turn a `Secret` into text, and why. */
const MAY_REVEAL: Readonly<Record<string, string>> = {
  'src/http/routes/resolve.ts': 'handing the credential to a caller is what this route is for',
  'src/calls/inject-auth.ts': 'puts the credential into the request to its provider',
  'src/calls/redact.ts': 'has to know what to look for in a provider’s answer',
  'src/crypto/seal.ts': 'encrypts it',
  'src/ledger/sign-webhook.ts': 'signs what webhooks are sent',
  'src/oauth/client.ts': 'sends the client secret, the code and the PKCE verifier in the token request of a browser flow',
  'src/oauth/grants.ts': 'sends the client secret and the refresh token in a token request; reads an answer that was kept',
  'src/oauth/revoke.ts': 'sends the token that is to be revoked',
}

/** Where plaintext enters, and why. */
const MAY_WRAP: Readonly<Record<string, string>> = {
  'src/crypto/signing-secret.ts': 'signing secrets of webhooks are made there',
  'src/http/routes/connect.ts': 'codes come in with providers’ redirects',
  'src/http/routes/credential-intake.ts': 'create and rotate take pasted credentials through it',
  'src/http/routes/oauth-apps.ts': 'client secrets of apps are entered there',
  'src/oauth/client.ts': 'PKCE verifiers are made there',
  'src/oauth/grants.ts': 'answers to renewals are kept before they are read',
  'src/oauth/normalise.ts': 'tokens come out of providers’ answers there',
}

const VOCABULARY = ['config', 'errors', 'ids', 'clock', 'log', 'metrics', 'json', 'schema', 'quiet', 'predicate']

const rooms = LAYERS.flat()
const room = (name: string) => `^src/${name}/`

/** A package of its own, with seals of its own. */
const SDK = '^src/sdk/'
/** The part of it that runs wherever there is `fetch`. */
const CLIENT = '^src/sdk/client/'

function seals (): IForbiddenRuleType[] {
  const upward = LAYERS.flatMap((row, index) => row.map((name): IForbiddenRuleType => ({
    name: `${name}-imports-downward`,
    severity: 'error',
    from: { path: room(name) },
    to: { path: `^src/(${[...LAYERS.slice(0, index).flat(), ...row.filter((other) => other !== name), 'cli'].join('|')})/|^src/(main|rooms|cli|jobs)\\.ts$` },
  })))
  const only = (name: string, allowed: string, target: string): IForbiddenRuleType => ({
    name, severity: 'error', from: { path: '^src/', pathNot: `${SDK}|${allowed}` }, to: { path: target },
  })
  return [
    ...upward,
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    // A room is entered through its index; the two files of crypto that are permissions are the exception.
    ...rooms.map((name): IForbiddenRuleType => ({
      name: `${name}-is-entered-by-its-index`,
      severity: 'error',
      from: { path: '^src/', pathNot: room(name) },
      to: { path: room(name), pathNot: `^src/${name}/index\\.ts$|^src/crypto/(reveal|wrap)\\.ts$` },
    })),
    { name: 'vocabulary-knows-no-room', severity: 'error', from: { path: `^src/(${VOCABULARY.join('|')})\\.ts$` }, to: { path: `^src/(${[...rooms, 'cli'].join('|')})/|^src/(main|rooms|cli|jobs)\\.ts$` } },
    only('cryptography-is-in-crypto', '^src/crypto/', '^(node:)?crypto$'),
    only('the-database-is-in-store', '^src/store/', '^(kysely|pg)$|node_modules/(kysely|pg)/'),
    only('sockets-are-in-egress', '^src/egress/', '^(node:)?(http|https|http2|net|tls|dns|dgram)(/promises)?$|node_modules/undici/'),
    only('fastify-is-in-http', '^src/http/|^src/oauth/client\\.ts$', 'node_modules/(fastify|@fastify)/'),
    only('the-kms-client-is-in-its-file', '^src/crypto/kek/aws-kms\\.ts$', 'node_modules/@(aws-sdk|smithy)/'),
    only('revealing-is-listed', Object.keys(MAY_REVEAL).map((file) => `^${file}$`).join('|'), '^src/crypto/reveal\\.ts$'),
    only('wrapping-is-listed', Object.keys(MAY_WRAP).map((file) => `^${file}$`).join('|'), '^src/crypto/wrap\\.ts$'),
    only('plaintexts-are-behind-two-files', '^src/crypto/(secret|reveal)\\.ts$', '^src/crypto/secret-values\\.ts$'),
    { name: 'the-sdk-stands-alone', severity: 'error', from: { path: SDK }, to: { path: '^src/', pathNot: SDK } },
    { name: 'the-client-runs-anywhere', severity: 'error', from: { path: CLIENT }, to: { pathNot: CLIENT } },
    { name: 'agents-need-no-client', severity: 'error', from: { path: SDK, pathNot: CLIENT }, to: { path: CLIENT } },
    { name: 'nobody-needs-the-sdk', severity: 'error', from: { path: '^src/', pathNot: SDK }, to: { path: SDK } },
    { name: 'tests-stay-out', severity: 'error', from: { path: '^src/' }, to: { path: '^(test|bench)/' } },
  ]
}

const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts') && !file.startsWith('sdk/dist/')).map((file) => join('src', file))

t.test('imports', async (t) => {
  const { output } = await cruise(['src'], {
    baseDir: ROOT,
    ruleSet: { forbidden: seals() },
    validate: true,
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/sdk/dist/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'], extensions: ['.ts', '.js', '.mjs'] },
  })
  const { summary, modules } = output as ICruiseResult
  const seen = modules.filter((module) => module.source.startsWith('src/') && module.source.endsWith('.ts'))
  t.equal(seen.length, files.length, `all ${files.length} modules were seen`)
  t.ok(files.length > 80)
  t.same(summary.violations.map((violation) => `${violation.rule.name}: ${violation.from} → ${violation.to}`), [])
  for (const file of [...Object.keys(MAY_REVEAL), ...Object.keys(MAY_WRAP)]) {
    const imports = modules.find((module) => module.source === file)?.dependencies.map((dependency) => dependency.resolved) ?? []
    t.ok(imports.some((target) => /crypto\/(reveal|wrap)\.ts$/.test(target)), `${file} still needs its place on the list`)
  }
})

t.test('the seals can break', async (t) => {
  // The same rules on a tree that breaks them: a check that can't fail is none.
  const { output } = await cruise(['src'], {
    baseDir: join(ROOT, 'test/support/broken-seals'), ruleSet: { forbidden: seals() }, validate: true, tsPreCompilationDeps: true, doNotFollow: { path: 'node_modules' },
  })
  const broken = new Set((output as ICruiseResult).summary.violations.map((violation) => violation.rule.name))
  for (const name of ['store-imports-downward', 'access-imports-downward', 'no-cycles', 'ledger-is-entered-by-its-index', 'revealing-is-listed', 'wrapping-is-listed',
    'cryptography-is-in-crypto', 'sockets-are-in-egress', 'vocabulary-knows-no-room', 'plaintexts-are-behind-two-files', 'the-sdk-stands-alone', 'nobody-needs-the-sdk', 'the-client-runs-anywhere', 'agents-need-no-client']) t.ok(broken.has(name), name)
})

t.test('what no import shows', async (t) => {
  for (const file of files) {
    const source = ts.createSourceFile(file, readFileSync(join(ROOT, file), 'utf8'), ts.ScriptTarget.Latest, true)
    const uses = new Set<string>()
    const visit = (node: ts.Node): void => {
      if (ts.isPropertyAccessExpression(node)) uses.add(`${node.expression.getText()}.${node.name.text}`)
      if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && (node.arguments?.length ?? 0) === 0) uses.add('new Date()')
      if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) uses.add(`${node.expression.text}()`)
      ts.forEachChild(node, visit)
    }
    visit(source)
    const forbid = (use: string, unless: RegExp) => { if (!unless.test(file) && !file.startsWith('src/sdk/')) t.notOk(uses.has(use), `${file}: ${use}`) }
    forbid('process.env', /^src\/config\.ts$/)
    forbid('Date.now', /^src\/clock\.ts$/)
    forbid('new Date()', /^src\/clock\.ts$/)
    forbid('fetch()', /^src\/egress\//)
    // What only Node has, without an import; names of types are not meant.
    const ofNode = [...uses].filter((use) => /^(process|Buffer|global|setImmediate|require)\b/.test(use))
    if (file.startsWith('src/sdk/client/')) t.same(ofNode, [], `${file} needs nothing of Node’s own`)
    // Stored results are opened in one place, payloads of a relay in another.
    if (file !== 'src/invoke/endings.ts' && file !== 'src/relay/payloads.ts') t.notOk([...uses].some((use) => use.endsWith('.openPayload')), `${file}: openPayload`)
    for (const method of ['log', 'error', 'warn', 'info', 'debug']) forbid(`console.${method}`, /^src\/cli\//)
  }
  t.pass(`${files.length} files`)
})

t.test('rooms open with their purpose', async (t) => {
  for (const name of rooms) {
    const text = readFileSync(join(ROOT, 'src', name, 'index.ts'), 'utf8')
    t.match(text, /^\/\*\*\n \* .+\n \*\n \* Invariants\n \* - /, `${name} says its purpose and invariants`)
    t.ok(text.split('\n').length <= 41, `${name}’s index has at most 40 lines`)
  }
  t.ok(readFileSync(join(ROOT, 'src/main.ts'), 'utf8').split('\n').length <= 121, 'main.ts has at most 120 lines')
  const words = /\b(utils?|helpers?|common|managers?|services?)\b/i
  // A service token is the thing's own name.
  for (const file of files) t.notMatch(relative('src', file).replaceAll('-', ' ').replace(/service tokens?/, ''), words, file)
})
