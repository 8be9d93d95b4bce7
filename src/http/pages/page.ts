import { html } from 'ghtml'
import type { Environment } from '../../ids.ts'
import { STYLE } from './style.ts'

/** Parts of a page, escaped by `html`; `!${}` puts one into another as it is. */
export type Markup = string

export interface Page {
  /** Of the window. */
  readonly title: string
  readonly productName: string
  readonly environment?: Environment | undefined
  /** Where the browser goes by itself. */
  readonly leadsTo?: string | undefined
  readonly body: Markup
}

/** A whole document. Without scripts, images or fonts: nothing is loaded from anywhere. */
export function renderPage ({ title, productName, environment, leadsTo, body }: Page): string {
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
!${leadsTo === undefined ? '' : html`<meta http-equiv="refresh" content="0; url=${leadsTo}">`}
<title>${title} · ${productName}</title>
<style>!${STYLE}</style>
</head>
<body>
<header class="brand"><span>${productName}</span>!${environment === undefined ? '' : renderEnvironment(environment)}</header>
<main>!${body}</main>
<footer>Credentials are encrypted and never shown again after this step.</footer>
</body>
</html>
`
}

function renderEnvironment (environment: Environment): Markup {
  return environment === 'sandbox' ? html`<span class="badge sandbox">Sandbox</span>` : html`<span class="badge">Live</span>`
}

const TONES = 6

/** A letter on a ground of its own: a vendor's logo would have to be loaded, or licensed. */
export function renderMark (name: string, small = false): Markup {
  const tone = [...name].reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0) % TONES
  return html`<span class="mark ${small ? 'small ' : ''}tone-${tone}" aria-hidden="true">${[...name][0]?.toUpperCase() ?? ''}</span>`
}

export function renderPair (from: string, to: string): Markup {
  return html`<div class="pair" aria-hidden="true">!${renderMark(from)}<span class="link-line"></span>!${renderMark(to)}</div>`
}

/** One thing a person can do next. */
export type Deed =
  | { readonly label: string, readonly href: string }
  /** Posted to the page of the link. */
  | { readonly label: string, readonly to: string, readonly action: string }

/** The first is the way on, the others are ways out. */
export function renderDeeds (deeds: readonly Deed[]): Markup {
  if (deeds.length === 0) return ''
  return html`<div class="actions">!${deeds.map((deed, index) => renderDeed(deed, index === 0 ? 'main' : 'quiet'))}</div>`
}

function renderDeed (deed: Deed, kind: string): Markup {
  if ('href' in deed) return html`<a class="button ${kind}" href="${deed.href}">${deed.label}</a>`
  return html`<form method="post" action="${deed.to}"><button class="button ${kind}" name="action" value="${deed.action}">${deed.label}</button></form>`
}
