import { existsSync, mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { addLocalKeks, createLocalKeyring, KEK_SLOTS, listLocalKeks, removeLocalKek, useLocalKek, type KekSlot } from '../crypto/index.ts'
import { presentKeys } from '../http/index.ts'
import { isWorkspaceId, type Environment } from '../ids.ts'
import type { Keys } from '../keys/index.ts'
import type { KeySweep } from '../store/index.ts'
import { fail, failMissing, print, createProgress, printTable } from './output.ts'
import { locateKeyring, withRooms } from './session.ts'

const OPERATOR = { by: 'operator', principal: { kind: 'operator', id: null, actor: null } } as const
const LOOK_MS = 300

interface FileOption { readonly file?: string }

function fileOf ({ file }: FileOption): string {
  return file === undefined ? locateKeyring(readConfig('operate')) : resolve(file)
}

export function initKeyring (options: FileOption): void {
  const file = fileOf(options)
  mkdirSync(dirname(file), { recursive: true })
  createLocalKeyring(file, systemClock.now())
  print(`${file} written. Keep a copy apart from the database and its backups: without it nothing can be decrypted.`)
}

/** All of them unless told apart. */
function slotsOf (names: readonly string[]): readonly KekSlot[] {
  if (names.length === 0) return KEK_SLOTS
  const wrong = names.find((name) => !(KEK_SLOTS as readonly string[]).includes(name))
  if (wrong !== undefined) fail(`${wrong} is no slot: ${KEK_SLOTS.join(', ')}`)
  return names as readonly KekSlot[]
}

export function addKek (options: FileOption & { slots?: string[], use?: boolean }): void {
  const file = fileOf(options)
  const ids = addLocalKeks(file, slotsOf(options.slots ?? []), { use: options.use === true, now: systemClock.now() })
  for (const id of ids) print(id)
  print(options.use === true
    ? 'New keys are wrapped by them from now on. Copy the file to its backup, then run `keys rotate kek`.'
    : 'Bring the file to every replica and to its backup, then run `keys use-kek` with each of them.')
}

export function useKek (id: string, options: FileOption & { slots?: string[] }): void {
  const file = fileOf(options)
  const slots = options.slots === undefined ? KEK_SLOTS.filter((slot) => id.startsWith(`${slot}-`)) : slotsOf(options.slots)
  if (!listLocalKeks(file).some((kek) => kek.id === id)) fail(`${file} holds no KEK ${id}`)
  if (slots.length === 0) fail('say which slots: --slots sandbox,live,system')
  useLocalKek(file, id, slots)
  print(`${id} wraps new keys of ${slots.join(', ')}. Bring the file to every replica, then run \`keys rotate kek\`.`)
}

export async function removeKek (id: string, options: FileOption & { force?: boolean }): Promise<void> {
  const file = fileOf(options)
  if (options.force !== true) await requireUnneeded(id)
  removeLocalKek(file, id)
  print(`${id} is no longer in the file. Copies of the file still hold it: destroy those that must not.`)
}

/** Whether the database needs it is asked where there is one to ask. */
async function requireUnneeded (id: string): Promise<void> {
  const config = readConfig('operate')
  if (config.databaseUrl === undefined && (config.nodeEnv === 'production' || !existsSync(locateKeyring(config)))) {
    fail('no database to ask whether it is needed: name it with DATABASE_URL, or take the KEK out with --force')
  }
  await withRooms(async ({ keys }) => {
    const kek = (await keys.overview()).keks.find(({ kekId }) => kekId === id)
    if (kek === undefined || kek.firstUsedAt === null) return
    fail(kek.keys > 0
      ? `${id} still wraps ${kek.keys} keys: run \`keys rotate kek\` first, then \`keys retire --kek ${id}\``
      : `the database still knows ${id}: run \`keys retire --kek ${id}\` first`)
  })
}

export function showKeyring (options: FileOption): void {
  printTable([['kek', 'made', 'current for'], ...listLocalKeks(fileOf(options)).map(({ id, createdAt, currentFor }) => [id, createdAt, currentFor.join(', ')])])
}

export async function listKeys (options: { json?: boolean }): Promise<void> {
  await withRooms(async ({ keys }) => {
    const overview = await keys.overview()
    if (options.json === true) {
      print(JSON.stringify(presentKeys(overview)))
      return
    }
    printTable([['kek', 'provider', 'current for', 'wraps', 'first used'], ...overview.keks.map((kek) =>
      [kek.kekId, kek.provider, kek.currentFor.join(', '), String(kek.keys), `${kek.firstUsedAt?.toISOString() ?? 'not yet'}${kek.overdue ? ' (overdue)' : ''}`])])
    print('')
    printTable([['keys of', 'state', 'number', 'oldest (days)'], ...overview.keys.map((key) =>
      [key.slot, key.state, String(key.keys), `${Math.floor(key.oldestSeconds / 86_400)}${key.overdue ? ' (overdue)' : ''}`])])
    print('')
    const rows = overview.rowsToReseal.reduce((sum, one) => sum + one.rows, 0)
    print(`${rows} rows under replaced keys; the sweep is ${overview.sweep.state}`)
  })
}

export interface RotateCommand {
  readonly workspace?: string
  readonly environment?: Environment
  readonly rate?: number
  readonly detach?: boolean
}

export async function rotateKeys (target: string, options: RotateCommand): Promise<void> {
  if (target !== 'kek' && target !== 'workspace' && target !== 'system') fail('rotate takes kek, workspace or system')
  const { workspace, environment, rate: rowsPerSecond } = options
  if (target !== 'workspace' && (workspace ?? environment) !== undefined) fail('--workspace and --environment are for `keys rotate workspace` alone')
  if (workspace !== undefined && !isWorkspaceId(workspace)) fail('--workspace takes a workspace’s id: letters, digits, _ and -, at most 64')
  await withRooms(async ({ keys }) => {
    await keys.rotate({ ...target === 'workspace' ? { target, workspaceId: workspace, environment } : { target }, ...rowsPerSecond !== undefined && { rowsPerSecond } }, OPERATOR)
    await follow(keys, options.detach === true)
  })
}

export async function sweepKeys (options: Pick<RotateCommand, 'rate' | 'detach'>): Promise<void> {
  await withRooms(async ({ keys }) => {
    await keys.sweep(options.rate === undefined ? {} : { rowsPerSecond: options.rate }, OPERATOR)
    await follow(keys, options.detach === true)
  })
}

/** Works on the sweep unless another process does, and shows how far it is until it is done. */
async function follow (keys: Keys, detach: boolean): Promise<void> {
  if (detach) {
    print('asked for; a running vault goes on with it')
    return
  }
  let broken: Error | undefined
  const progress = createProgress(process.stdout)
  const watching = new AbortController()
  const work = (async () => {
    while (!watching.signal.aborted) {
      await keys.sweeper.tick()
      await sleep(LOOK_MS)
    }
  })().catch((error: unknown) => { broken = error instanceof Error ? error : new Error('the sweep failed') })
  for (let sweep = await keys.sweepStatus(); ; sweep = await keys.sweepStatus()) {
    progress(describeSweep(sweep), sweep.rowsTotal === 0 ? undefined : sweep.rowsDone / sweep.rowsTotal, sweep.state === 'idle')
    if (sweep.state === 'idle') {
      if (sweep.rowsFailed > 0) {
        print(`${sweep.rowsFailed} values do not open where they are: \`connection-vault doctor\` names them`)
        process.exitCode = 1
      }
      break
    }
    if (broken !== undefined) throw broken
    await sleep(LOOK_MS)
  }
  watching.abort()
  await work
}

function describeSweep ({ state, keysMade, keysRewrapped, rowsDone, rowsTotal, rowsFailed }: KeySweep): string {
  return `${state === 'idle' ? 'done' : 'running'}: ${keysMade} keys made, ${keysRewrapped} wrapped again, ${rowsDone} of ${Math.max(rowsTotal, rowsDone)} rows sealed again${rowsFailed > 0 ? `, ${rowsFailed} failed` : ''}`
}

export async function retireKeys (options: { kek?: string }): Promise<void> {
  await withRooms(async ({ keys }) => {
    if (options.kek !== undefined) {
      await keys.retireKek(options.kek, OPERATOR).catch(failMissing(`the database knows no KEK ${options.kek}: \`keys list\` shows those there are`))
      print(`${options.kek} is retired: the database does not need it any more`)
      return
    }
    const { retired, kept } = await keys.retire(OPERATOR)
    print(`${retired} keys retired${retired > 0 ? '; their bytes are erased in a minute, by a running vault' : ''}`)
    for (const { keyId, rows } of kept) print(`${keyId} is still needed: ${rows.map(({ table, rows: number }) => `${table} ${number}`).join(', ')}`)
  })
}
