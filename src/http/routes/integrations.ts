import { issuedFields, isLinked, type Action, type AuthScheme, type Catalog, type Integration } from '../../catalog/index.ts'
import { VaultError } from '../../errors.ts'
import type { App } from '../app.ts'
import { IntegrationAction, IntegrationActionParams, IntegrationDetail, IntegrationPage, IntegrationParams } from '../contract/integration.ts'

const tags = ['catalog']

/** What can be connected. */
export function integrationRoutes (app: App, rooms: { catalog: Catalog }): void {
  app.get('/v1/integrations', {
    schema: { tags, operationId: 'listIntegrations', summary: 'List what can be connected', response: { 200: IntegrationPage } },
  }, async () => ({
    integrations: rooms.catalog.list().map((integration) => ({
      ...presentIntegration(integration),
      actions: integration.manifest.actions.map(({ name, title, effect }) => ({ name, title, effect })),
    })),
  }))

  app.get('/v1/integrations/:integration', {
    schema: { tags, operationId: 'getIntegration', summary: 'Get an integration with the input of each action', params: IntegrationParams, response: { 200: IntegrationDetail } },
    config: { errors: ['not_found'] },
  }, async (request) => {
    const integration = rooms.catalog.find(request.params.integration)
    if (integration === undefined) throw new VaultError('not_found')
    return {
      ...presentIntegration(integration),
      actions: integration.manifest.actions.map((action) => presentAction(action, integration.requireAction(action.name).outline)),
    }
  })

  app.get('/v1/integrations/:integration/actions/:action', {
    schema: { tags, operationId: 'getAction', summary: 'Get an action with all of its input', params: IntegrationActionParams, response: { 200: IntegrationAction } },
    config: { errors: ['not_found'] },
  }, async (request) => {
    const action = rooms.catalog.find(request.params.integration)?.findAction(request.params.action)
    if (action === undefined) throw new VaultError('not_found')
    return presentAction(action.definition, action.schema)
  })
}

/** An action as a procedure's author sees it. */
export function presentAction (action: Action, input: Readonly<Record<string, unknown>>) {
  return {
    name: action.name, title: action.title, ...action.help !== undefined && { help: action.help }, effect: action.effect, method: action.method,
    path: action.path, scopes: action.scopes ?? [],
    secret_outputs: (action.secret_outputs ?? []).map(({ pointer, field = null }) => ({ pointer, field })),
    input: { ...input },
  }
}

function presentIntegration ({ manifest }: Integration) {
  const { id, name, category, docs = null, environments, separation } = manifest
  return { id, name, category, docs, environments, separation, auth: manifest.auth.map(presentScheme) }
}

export function presentScheme (scheme: AuthScheme) {
  return {
    id: scheme.id,
    label: scheme.label,
    kind: isLinked(scheme) ? 'oauth2' as const : 'pasted' as const,
    ...scheme.oauth !== undefined && { scopes: scheme.oauth.scopes.default },
    ...scheme.find !== undefined && { find: scheme.find },
    credentials: fieldsSchema(scheme, true),
    config: fieldsSchema(scheme, false),
  }
}

/** The fields of a scheme as a JSON Schema that forms are made from; what OAuth fills in is no form's. */
function fieldsSchema (scheme: AuthScheme, secret: boolean): Record<string, unknown> {
  const issued = issuedFields(scheme)
  const fields = scheme.fields.filter((field) => field.secret === secret && !issued.has(field.name))
  return {
    type: 'object',
    additionalProperties: false,
    required: fields.filter((field) => field.required !== false && field.default === undefined && !isImplied(scheme, field.name)).map((field) => field.name),
    properties: Object.fromEntries(fields.map((field) => [field.name, {
      type: 'string',
      title: field.label,
      ...field.help !== undefined && { description: field.help },
      ...field.pattern !== undefined && { pattern: field.pattern },
      ...field.enum !== undefined && { enum: field.enum },
      ...field.default !== undefined && { default: field.default },
      ...secret && { writeOnly: true },
    }])),
  }
}

/** Whether some credential field says it by its prefix, whatever the prefix. */
function isImplied (scheme: AuthScheme, config: string): boolean {
  return scheme.fields.some((field) => field.prefixes?.every((prefix) => prefix.config?.[config] !== undefined) === true)
}
