import { text } from 'node:stream/consumers'
import { loadCatalog } from '../catalog/index.ts'
import { judgePublicUrl, readConfig } from '../config.ts'
import { createOAuthAppKeeper, type OAuthAppKeeper, type PresentedApp } from '../connections/index.ts'
import { isVaultError } from '../errors.ts'
import { enteredApp } from '../http/index.ts'
import { ENVIRONMENTS, GLOBAL_OWNER, isWorkspaceId, type AppOwner, type Environment } from '../ids.ts'
import { fail, failMissing, print, printError, table } from './output.ts'
import { withRooms } from './session.ts'

interface OwnerOptions {
  readonly workspace?: string
}

export interface SetAppOptions extends OwnerOptions {
  readonly clientId: string
  readonly keepSecret?: boolean
  readonly scopes?: Readonly<Record<string, string[]>>
  readonly defaultScopes?: boolean
  readonly overlapSeconds?: string
}

const OPERATOR = { principal: { kind: 'operator' as const, id: 'cli', actor: null }, by: 'operator', requestId: undefined }

export async function listOAuthApps (options: OwnerOptions): Promise<void> {
  await withKeeper(async (keeper) => {
    const rows = await keeper.list(ownerOf(options), ENVIRONMENTS)
    const head = ['id', 'integration', 'environment', 'client id', 'secret', 'redirect URI']
    print(table(head, rows.map((app) => [app.id, app.integration, app.environment, app.client_id, app.client_secret_preview, app.redirect_uri])))
  })
}

/** The secret comes by standard input: arguments are seen by everybody on the machine and stay in a shell's history. */
export async function setOAuthApp (integration: string, environment: string, options: SetAppOptions): Promise<void> {
  const place = { owner: ownerOf(options), integration, environment: environmentOf(environment) }
  const overlap = options.overlapSeconds === undefined ? undefined : Number(options.overlapSeconds)
  if (overlap !== undefined && !(Number.isInteger(overlap) && overlap >= 0 && overlap <= 2_592_000)) fail('--overlap-seconds must be a whole number from 0 to 2592000')
  if (options.scopes !== undefined && options.defaultScopes === true) fail('--scopes and --default-scopes are one or the other')
  if (options.keepSecret !== true && process.stdin.isTTY) printError('Enter the client secret, then end with Ctrl-D:')
  const secret = options.keepSecret === true ? undefined : (await text(process.stdin)).trim()
  if (secret === '') fail('no client secret came by standard input; --keep-secret changes an app without one')
  // Neither told, they stay as they are: whoever replaces a secret means the secret.
  const scopes = options.defaultScopes === true ? {} : options.scopes
  const body = {
    client_id: options.clientId, ...scopes !== undefined && { scopes: { ...scopes } },
    ...secret !== undefined && { client_secret: secret }, ...overlap !== undefined && { overlap_seconds: overlap },
  }
  await withKeeper(async (keeper) => {
    const { app, created } = await spoken(async () => await keeper.put(place, enteredApp(body), OPERATOR))
    printError(`${app.id} ${created ? 'made' : 'changed'}. Register this redirect URI with the provider, exactly as it is:`)
    print(app.redirect_uri)
    const amiss = judgePublicUrl(readConfig('operate'))
    if (amiss !== undefined) printError(`Do not register it yet. ${amiss}. Set it as the service has it; \`oauth-apps list\` then shows the URI to register.`)
  })
}

export async function deleteOAuthApp (integration: string, environment: string, options: OwnerOptions & { readonly force?: boolean }): Promise<void> {
  await withKeeper(async (keeper) => {
    await keeper.remove({ owner: ownerOf(options), integration, environment: environmentOf(environment) }, { force: options.force === true }, OPERATOR)
      .catch(failMissing(`there is no app for ${integration} in ${environment}${options.workspace === undefined ? '' : ` of ${options.workspace}`}: \`oauth-apps list\` shows those there are`))
    print('deleted')
  })
}

async function withKeeper (work: (keeper: OAuthAppKeeper) => Promise<void>): Promise<void> {
  await withRooms(async ({ oauth }) => {
    const config = readConfig('operate')
    const publicUrl = config.publicUrl ?? `http://${config.publicHost}:${config.publicPort}`
    await work(createOAuthAppKeeper({ catalog: loadCatalog(config.catalogDir), oauth, publicUrl: () => publicUrl }))
  })
}

/** With each place that is wrong, which an error's own message leaves out. */
async function spoken (work: () => Promise<{ app: PresentedApp, created: boolean }>): Promise<{ app: PresentedApp, created: boolean }> {
  try {
    return await work()
  } catch (error) {
    if (!isVaultError(error) || error.details.errors === undefined) throw error
    return fail(`${error.message}\n${error.details.errors.map((one) => `  ${one.pointer} ${one.message}`).join('\n')}`)
  }
}

function ownerOf ({ workspace }: OwnerOptions): AppOwner {
  if (workspace === undefined) return GLOBAL_OWNER
  return isWorkspaceId(workspace) ? workspace : fail('that is not a workspace’s id')
}

function environmentOf (name: string): Environment {
  return ENVIRONMENTS.find((environment) => environment === name) ?? fail('the environment is sandbox or live')
}
