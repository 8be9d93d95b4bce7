import { Command, Option } from 'commander'
import { IssuersError, PRESETS, SCOPES } from '../access/index.ts'
import { VERSION } from '../main.ts'
import { CatalogError, ImportError } from '../catalog/index.ts'
import { ConfigError } from '../config.ts'
import { KeyringError } from '../crypto/index.ts'
import { isVaultError } from '../errors.ts'
import { describeError } from '../log.ts'
import { MigrationError } from '../store/index.ts'
import { exportAudit, pruneAudit, verifyAudit } from './audit.ts'
import { listCatalog } from './catalog.ts'
import { describeImportError, importCatalog, type ImportCommand } from './import-catalog.ts'
import { examine } from './doctor.ts'
import { addKek, initKeyring, listKeys, removeKek, retireKeys, rotateKeys, showKeyring, sweepKeys, useKek, type RotateCommand } from './keys.ts'
import { runMigrations } from './migrate.ts'
import { deleteOAuthApp, listOAuthApps, setOAuthApp, type SetAppOptions } from './oauth-apps.ts'
import { fail, printError, UsageError } from './output.ts'
import { serve } from './serve.ts'
import { createServiceToken, listServiceTokens, revokeServiceToken, type TokenOptions } from './tokens.ts'

const list = (text: string): string[] => text.split(',').map((item) => item.trim()).filter((item) => item !== '')

/** As large as the database's integers. */
const INTEGER_MAX = 2_147_483_647

const positive = (option: string, of: string) => (given: string): number => {
  const number = /^\d+$/.test(given) ? Number(given) : 0
  if (number < 1 || number > INTEGER_MAX) fail(`${option} takes a number of ${of}`)
  return number
}

function collectScopes (given: string, before: Readonly<Record<string, string[]>> = {}): Record<string, string[]> {
  const at = given.indexOf('=')
  if (at < 1) fail('--scopes takes the way to sign in and its scopes, such as oauth=read,write')
  return { ...before, [given.slice(0, at)]: list(given.slice(at + 1)) }
}

/** The operator's verbs. Settings come from the environment; .env.example lists them. */
const program = new Command('connection-vault')
  .description('Credential vault for workflow connections')
  .version(VERSION)
  .configureHelp({ showGlobalOptions: true })

program.command('serve').description('run the vault; without DATABASE_URL, outside production, on an embedded Postgres').action(serve)

program.command('migrate').description('bring the schema up to date, as the role of OWNER_DATABASE_URL').action(runMigrations)

const catalog = program.command('catalog').argument('[integration]').description('list what can be connected, or the actions of one integration').action(listCatalog)
catalog.command('import <source>').description('make an integration of an OpenAPI document: a file, or an https URL')
  .requiredOption('--id <id>', 'what the integration is called, such as acme_billing')
  .option('--name <name>', 'how people see it; the document’s title unless told')
  .option('--live <url>', 'where the API is, instead of what the document says')
  .option('--sandbox <url>', 'where its sandbox is')
  .addOption(new Option('--auth <type>', 'how calls are authorised, instead of what the document says').choices(['none', 'bearer', 'basic', 'api_key']))
  .addOption(new Option('--key-in <place>', 'where an API key goes').choices(['header', 'query', 'cookie']).default('header'))
  .option('--key-name <name>', 'what the header, parameter or cookie is called')
  .option('--tags <list>', 'only operations with one of these tags', list)
  .option('--paths <list>', 'only those whose paths begin so', list)
  .option('--actions <list>', 'only those that are called so', list)
  .option('--strict', 'check bodies against their schemas, too')
  .option('--replace', 'write over an integration of this id')
  .option('--preview', 'say what would be imported, write nothing')
  .action(async (source: string, options: ImportCommand) => { await importCatalog(source, options) })

const keys = program.command('keys').description('keys, and the keys that wrap them')
const file = ['--file <path>', 'the keyring; defaults to KEYRING_FILE, else DATA_DIR/keyring.json'] as const
const slots = ['--slots <list>', 'what for: sandbox, live, system', list] as const
keys.command('init').description('write a keyring with fresh KEKs; never overwrites one').option(...file).action(initKeyring)
keys.command('add-kek').description('add fresh KEKs to the keyring').option(...file).option(...slots)
  .option('--use', 'let them wrap new keys at once; right where all replicas read this one file').action(addKek)
keys.command('use-kek <id>').description('let a KEK of the keyring wrap new keys').option(...file).option(...slots)
  .action((id: string, options: { file?: string, slots?: string[] }) => { useKek(id, options) })
keys.command('remove-kek <id>').description('take a retired KEK out of the keyring').option(...file)
  .option('--force', 'without asking the database whether it needs it')
  .action(async (id: string, options: { file?: string, force?: boolean }) => { await removeKek(id, options) })
keys.command('keyring').description('list the KEKs of the keyring').option(...file).action(showKeyring)
keys.command('list').description('how the keys stand').option('--json', 'as JSON').action(async (options: { json?: boolean }) => { await listKeys(options) })
keys.command('rotate <target>').description('kek: wrap every key again under the current KEK; workspace: replace workspaces’ keys; system: replace the vault’s own')
  .option('--workspace <id>', 'only of this workspace')
  .addOption(new Option('--environment <environment>', 'only of this environment').choices(['sandbox', 'live']))
  .option('--rate <rows>', 'rows sealed again in a second, at most', positive('--rate', 'rows'))
  .option('--detach', 'ask a running vault for it, and do not wait')
  .action(async (target: string, options: RotateCommand) => { await rotateKeys(target, options) })
keys.command('sweep').description('seal again what replaced keys have sealed; goes on with a sweep that was interrupted')
  .option('--rate <rows>', 'rows sealed again in a second, at most', positive('--rate', 'rows'))
  .option('--detach', 'ask a running vault for it, and do not wait')
  .action(async (options: RotateCommand) => { await sweepKeys(options) })
keys.command('retire').description('retire replaced keys that no row needs; with --kek, a KEK that wraps nothing')
  .option('--kek <id>', 'this KEK').action(async (options: { kek?: string }) => { await retireKeys(options) })

program.command('doctor').description('look at everything the vault stands on and open every sealed value, printing none; exit code 1 when anything is wrong')
  .option('--json', 'as JSON').action(async (options: { json?: boolean }) => { await examine(options) })

const tokens = program.command('tokens').description('service tokens')
tokens.command('create').description('make a token; it is printed once')
  .requiredOption('--name <name>', 'what it is for')
  .addOption(new Option('--preset <preset>', 'scopes of a role').choices(Object.keys(PRESETS)))
  .option('--scopes <list>', `comma separated: ${SCOPES.join(', ')}`, list)
  .requiredOption('--workspaces <list>', 'comma separated ids, or *', list)
  .requiredOption('--environments <list>', 'sandbox, live, or *', list)
  .option('--expires-at <instant>', 'such as 2027-01-31T00:00:00Z')
  .action(async (options: TokenOptions) => { await createServiceToken(options) })
tokens.command('list').description('list tokens, newest first').action(listServiceTokens)
tokens.command('revoke <id>').description('revoke a token; it stops working within a second').action(revokeServiceToken)

const apps = program.command('oauth-apps').description('client ids and secrets registered with providers, the vault’s own or a workspace’s')
apps.command('list').description('list apps with the redirect URI to register for each').option('--workspace <id>', 'of this workspace').action(listOAuthApps)
apps.command('set <integration> <environment>').description('make or change an app; its client secret is read from standard input')
  .requiredOption('--client-id <id>', 'as the provider shows it')
  .option('--scopes <scheme=list>', 'scopes to ask for, comma separated, such as oauth=read,write; once for each way to sign in; left out, they stay', collectScopes)
  .option('--default-scopes', 'ask for the integration’s defaults again')
  .option('--keep-secret', 'leave the client secret as it is')
  .option('--overlap-seconds <seconds>', 'how long the secret before stays valid beside a new one; a day unless told')
  .option('--workspace <id>', 'of this workspace')
  .action(async (integration: string, environment: string, options: SetAppOptions) => { await setOAuthApp(integration, environment, options) })
apps.command('delete <integration> <environment>').description('delete an app').option('--workspace <id>', 'of this workspace')
  .option('--force', 'although connections were linked through it')
  .action(async (integration: string, environment: string, options: { workspace?: string, force?: boolean }) => {
    await deleteOAuthApp(integration, environment, options)
  })

const audit = program.command('audit').description('the record of what happened')
audit.command('verify').description('recompute the whole chain; exit code 1 when anything was changed')
  .option('--checkpoint <word>', 'a checkpoint kept from the log, to reveal a cut tail')
  .action(verifyAudit)
audit.command('export').description('print records as JSON lines, oldest first, for a SIEM')
  .option('--from <instant>', 'from this instant on').option('--to <instant>', 'before this instant')
  .option('--after <cursor>', 'go on after the last line of the export before; its `cursor`')
  .action(async (options: { from?: string, to?: string, after?: string }) => { await exportAudit(options) })
audit.command('prune').description('let go of old months of the record, as the role of RETENTION_DATABASE_URL')
  .requiredOption('--keep-months <number>', 'whole months to keep beside the current one', positive('--keep-months', 'months'))
  .action(async (options: { keepMonths: number }) => { await pruneAudit(options) })

/** Errors whose message is written for the operator, and holds no value. */
const SPOKEN = [ConfigError, KeyringError, MigrationError, CatalogError, ImportError, IssuersError, UsageError]

/** Runs one verb. What goes wrong ends with its reason and exit code 1. */
export async function run (argv: readonly string[]): Promise<void> {
  try {
    await program.parseAsync(argv)
  } catch (error) {
    const spoken = error instanceof Error && SPOKEN.some((kind) => error instanceof kind)
    printError(`connection-vault: ${error instanceof ImportError ? describeImportError(error) : spoken || isVaultError(error) ? (error).message : describeError(error)}`)
    process.exit(1)
  }
}
