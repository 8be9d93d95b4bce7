import { html } from 'ghtml'
import { isLinked, isPrivate, type Field, type Integration } from '../../catalog/index.ts'
import { describeShared, isShared, type LinkEnd, type Way } from '../../connections/index.ts'
import type { FieldError } from '../../errors.ts'
import type { Environment } from '../../ids.ts'
import { renderMark, renderPage, renderPair, type Markup } from './page.ts'

/** What every page of a session knows. */
export interface SessionFrame {
  readonly productName: string
  readonly environment: Environment
  /** The page's own address: its path, with the link's token. */
  readonly address: string
  readonly workspace: string
  readonly actor: string
  readonly name: string
  readonly reconnects: boolean
  /** Whether the host has to confirm what is connected here. */
  readonly confirmed: boolean
}

/** Which integration, or which way of one. */
export function renderChooser (frame: SessionFrame, ways: readonly Way[], integration: Integration | undefined): string {
  const title = integration === undefined ? 'What do you want to connect?' : `How do you want to connect ${integration.manifest.name}?`
  const entries = integration === undefined ? integrationsOf(ways).map((one) => renderIntegration(frame, one, ways)) : ways.map((way) => renderWay(frame, way))
  const body = html`
<h1>${title}</h1>
<p class="lead">${frame.productName} will be able to use it in your procedures.</p>
<ul class="choices">!${entries}</ul>
!${renderFacts(frame)}
!${renderWaysOut(frame, false)}
`
  return renderPage({ ...frame, title, body })
}

function integrationsOf (ways: readonly Way[]): Integration[] {
  return [...new Map(ways.map(({ integration }) => [integration.manifest.id, integration])).values()]
}

function renderIntegration ({ address }: SessionFrame, { manifest }: Integration, ways: readonly Way[]): Markup {
  const labels = ways.filter((way) => way.integration.manifest.id === manifest.id).map(({ scheme }) => scheme.label)
  return renderEntry(`${address}?${new URLSearchParams({ integration: manifest.id }).toString()}`, { mark: manifest.name, name: manifest.name, detail: labels.join(' · ') })
}

function renderWay ({ address }: SessionFrame, { integration: { manifest }, scheme }: Way): Markup {
  const detail = isLinked(scheme) ? `You sign in at ${manifest.name}.` : scheme.find ?? 'You paste it on the next page.'
  return renderEntry(`${address}?${new URLSearchParams({ integration: manifest.id, auth: scheme.id }).toString()}`, { mark: scheme.label, name: scheme.label, detail })
}

function renderEntry (href: string, { mark, name, detail }: { mark: string, name: string, detail: string }): Markup {
  return html`<li><a class="choice" href="${href}">!${renderMark(mark, true)}<span><b>${name}</b><small>${detail}</small></span><span class="arrow" aria-hidden="true">›</span></a></li>`
}

export interface Entry {
  readonly way: Way
  readonly fields: readonly Field[]
  readonly nameOf: (field: string) => string
  /** Of config; secrets are never sent back. */
  readonly values: Readonly<Record<string, string>>
  readonly errors: readonly FieldError[]
  /** Where there are others to choose from. */
  readonly others: boolean
}

/** The form of one way: consent, or the fields of what is pasted. */
export function renderEntryForm (frame: SessionFrame, entry: Entry): string {
  const { way: { integration: { manifest }, scheme, scopes }, others } = entry
  const linked = isLinked(scheme)
  const title = `${frame.reconnects ? 'Reconnect' : 'Connect'} ${manifest.name}`
  const lead = linked
    ? `${frame.productName} sends you to ${manifest.name} to sign in and agree. It never sees your password.`
    : scheme.find === undefined ? `${scheme.label}, from your ${manifest.name} account.` : `You find it at: ${scheme.find}.`
  const body = html`
!${renderPair(frame.productName, manifest.name)}
!${renderErrors(entry)}
<h1>${title}</h1>
<p class="lead">${lead}</p>
!${frame.environment === 'sandbox' && isShared(manifest) ? html`<p class="note">${describeShared(manifest)}</p>` : ''}
<form method="post" action="${frame.address}" autocomplete="off">
<input type="hidden" name="integration" value="${manifest.id}"><input type="hidden" name="auth" value="${scheme.id}">
!${entry.fields.map((field) => renderField(field, entry))}
!${linked ? renderScopes(frame.productName, manifest.name, scopes) : ''}
!${renderFacts(frame)}
<div class="actions"><button class="button main">${linked ? `Continue to ${manifest.name}` : title}</button></div>
</form>
!${renderWaysOut(frame, others)}
!${linked || !frame.confirmed ? '' : html`<p class="note">If ${frame.productName} does not confirm the connection within 10 minutes, what you entered is destroyed here.!${isPrivate(manifest) ? '' : html` Only you can withdraw it at ${manifest.name}.`}</p>`}
`
  return renderPage({ ...frame, title: entry.errors.length > 0 ? `Error: ${title}` : title, body })
}

function renderWaysOut ({ address }: SessionFrame, others: boolean): Markup {
  return html`<div class="actions">!${others ? html`<a class="button quiet" href="${address}">Choose another way</a>` : ''}
<form method="post" action="${address}"><button class="button quiet" name="action" value="cancel">Cancel</button></form></div>`
}

function renderScopes (productName: string, name: string, scopes: readonly string[]): Markup {
  if (scopes.length === 0) return ''
  return html`<h2>${productName} asks ${name} for</h2><ul class="scopes">!${scopes.map((scope) => html`<li><code>${scope}</code></li>`)}</ul>`
}

function renderFacts ({ name, workspace, actor }: SessionFrame): Markup {
  const facts = [['Connection', name], ['Workspace', workspace], ['Requested for', actor]] as const
  return html`<dl class="facts">!${facts.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`
}

function fieldId (name: string): string {
  return `f-${name}`
}

/** The field that an error's pointer names (`/credentials/secret_key`). */
function errorOf (field: Field, errors: readonly FieldError[]): FieldError | undefined {
  return errors.find(({ pointer }) => pointer.split('/').at(-1) === field.name)
}

function renderErrors ({ errors, fields }: Entry): Markup {
  if (errors.length === 0) return ''
  const lines = errors.map((error) => {
    const field = fields.find((one) => errorOf(one, [error]) !== undefined)
    return field === undefined ? html`<li>${error.message}</li>` : html`<li><a href="#${fieldId(field.name)}">${field.label}</a> ${error.message}</li>`
  })
  return html`<div class="alert" role="alert"><p><b>That did not work yet</b></p><ul>!${lines}</ul></div>`
}

function renderField (field: Field, entry: Entry): Markup {
  const id = fieldId(field.name)
  const error = errorOf(field, entry.errors)
  const described = [field.help === undefined ? undefined : `${id}-hint`, error && `${id}-error`].filter((one) => one !== undefined).join(' ')
  const attributes = html`id="${id}" name="${entry.nameOf(field.name)}"!${field.required === false ? '' : ' required'}!${described === '' ? '' : html` aria-describedby="${described}"`}!${error === undefined ? '' : ' aria-invalid="true"'}`
  return html`<div class="field"><label for="${id}">${field.label}!${field.required === false ? ' <span class="optional">(optional)</span>' : ''}</label>
!${field.help === undefined ? '' : html`<p class="hint" id="${id}-hint">${field.help}</p>`}
!${field.enum === undefined ? renderInput(field, attributes, entry) : renderSelect(field, attributes, entry)}
!${error === undefined ? '' : html`<p class="wrong" id="${id}-error">${field.label} ${error.message}</p>`}</div>`
}

function renderInput (field: Field, attributes: Markup, { values }: Entry): Markup {
  const common = 'autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="16384"'
  if (field.secret) return html`<input type="password" !${attributes} !${common}>`
  return html`<input type="text" !${attributes} !${common} value="${values[field.name] ?? field.default ?? ''}">`
}

function renderSelect (field: Field, attributes: Markup, { values }: Entry): Markup {
  const chosen = values[field.name] ?? field.default
  const first = field.required === false ? '<option value=""></option>' : ''
  return html`<select !${attributes}>!${first}!${(field.enum ?? []).map((value) => html`<option!${value === chosen ? ' selected' : ''}>${value}</option>`)}</select>`
}

/** Which of several accounts a grant is to be used for. */
export function renderPicker (frame: SessionFrame, { question, choices, missed }: Extract<LinkEnd, { kind: 'choose' }>): string {
  const options = choices.map(({ label, detail }, index) => html`<li><label class="choice"><input type="radio" name="choice" value="${index}" required>
<span><b>${label}</b>!${detail === null ? '' : html`<small>${detail}</small>`}</span></label></li>`)
  const body = html`
!${missed === true ? html`<div class="alert" role="alert"><p>Choose one of them.</p></div>` : ''}
<form method="post" action="${frame.address}">
<input type="hidden" name="action" value="choose">
<fieldset><legend><h1>${question}</h1></legend>
<p class="lead">What you agreed to reaches several. ${frame.name} will use the one you choose.</p>
<ul class="choices">!${options}</ul></fieldset>
<div class="actions"><button class="button main">Continue</button></div>
</form>
!${renderWaysOut(frame, false)}
`
  return renderPage({ ...frame, title: question, body })
}
