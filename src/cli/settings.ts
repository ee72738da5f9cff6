/**
 * What the broker is told: from the command line, else from ANYMQ_ variables, else from the configuration file, else the defaults below.
 * One table serves all of them, so that an unknown name in any place is an error.
 */
import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import type { Address, Limits, Permission } from '../broker/face.ts'
import type { TokenSettings } from '../broker/tokens.ts'
import type { TlsSettings } from '../lib/tls.ts'
import {
  configuredProtocols,
  httpDefaultPort,
  knownListeners,
  knownProtocols,
  optionalProtocols,
  protocolTable,
} from '../protocols/table.ts'
import type { OptionSpec, ParsedArguments } from './arguments.ts'
import { didYouMean } from './nearest.ts'
import { UsageError } from './usage-error.ts'

export interface Settings {
  data: string
  host: string
  /** Protocol names; null is all that are not optional. */
  only: string[] | null
  /** Names of protocols to open beside these. */
  enable: string[]
  /** Ports by listener name, where given. */
  ports: Map<string, number>
  portOffset: number
  /** Where clients are told to connect, by listener name. */
  advertise: Map<string, Address>
  durability: 'fsync' | 'os'
  insecure: boolean
  webSocketCompression: boolean
  skipTakenPorts: boolean
  logLevel: LogLevel
  tlsCertificate: string | null
  tlsKey: string | null
  tlsClientCa: string | null
  tlsRequireClientCertificate: boolean
  tlsOnly: boolean
  tokenKeys: string | null
  tokenIssuer: string | null
  tokenAudience: string | null
  tokenUserClaim: string | null
  tokenScopePrefix: string | null
  limits: Partial<Limits>
  users: ConfiguredUser[]
  /** What the file says to protocols, by their names; each checks its own. */
  protocolSettings: Map<string, Record<string, unknown>>
}

export interface ConfiguredUser {
  readonly name: string
  readonly password: string
  readonly signingSecret?: string
  readonly admin?: boolean
  readonly permissions?: Permission[]
}

const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

interface Setting extends OptionSpec {
  /** As a variable. */
  readonly variable: string
  /** As a key of the configuration file. */
  readonly key: string
  apply(settings: Settings, value: unknown, from: string): void
}

export const settingsTable: readonly Setting[] = [
  setting('data', 'DIR', 'where everything is kept (default ./anymq-data)', (settings, value, from) => {
    settings.data = text(value, from)
  }),
  setting('host', 'ADDR', 'address to listen on (default 127.0.0.1)', (settings, value, from) => {
    settings.host = text(value, from)
  }),
  setting(
    'only',
    'NAMES',
    'protocols to open, separated by commas (default all but those that --enable names; HTTP is always open)',
    (settings, value, from) => {
      settings.only = names(value, from)
    },
  ),
  {
    ...setting(
      'enable',
      'NAMES',
      `protocols to open beside the others, of those that are off by default (${optionalProtocols().join(', ')}); repeatable`,
      (settings, value, from) => {
        settings.enable.push(...names(value, from))
      },
    ),
    repeatable: true,
  },
  {
    ...setting('port', 'NAME=N', 'port of one listener; repeatable; 0 takes a free one', (settings, value, from) => {
      for (const [name, port] of portPairs(value, from)) settings.ports.set(name, port)
    }),
    repeatable: true,
    key: 'ports',
  },
  {
    ...setting(
      'advertise',
      'NAME=HOST:PORT',
      'where clients are told to connect to a listener, for port forwarding; repeatable',
      (settings, value, from) => {
        for (const [name, address] of addressPairs(value, from)) settings.advertise.set(name, address)
      },
    ),
    repeatable: true,
  },
  setting('port-offset', 'N', 'added to every default port', (settings, value, from) => {
    settings.portOffset = wholeNumber(value, from, -65535, 65535)
  }),
  setting(
    'durability',
    'fsync|os',
    'confirm after the bytes are on disk, or in the page cache (default fsync)',
    (settings, value, from) => {
      settings.durability = oneOf(value, from, ['fsync', 'os'] as const)
    },
  ),
  setting('insecure', undefined, 'allow listening beyond loopback although no users are configured', (settings, value, from) => {
    settings.insecure = yesOrNo(value, from)
  }),
  setting(
    'web-socket-compression',
    undefined,
    'let WebSocket clients compress messages (permessage-deflate)',
    (settings, value, from) => {
      settings.webSocketCompression = yesOrNo(value, from)
    },
  ),
  setting('skip-taken-ports', undefined, 'start without the listeners whose ports are taken', (settings, value, from) => {
    settings.skipTakenPorts = yesOrNo(value, from)
  }),
  setting('log-level', 'LEVEL', `${logLevels.join(', ')} (default info)`, (settings, value, from) => {
    settings.logLevel = oneOf(value, from, logLevels)
  }),
  setting(
    'tls-certificate',
    'FILE',
    'PEM certificate (chain); whoever begins with TLS is then secured, on every port; SIGHUP reads it again',
    (settings, value, from) => {
      settings.tlsCertificate = text(value, from)
    },
  ),
  setting('tls-key', 'FILE', 'PEM key of the certificate', (settings, value, from) => {
    settings.tlsKey = text(value, from)
  }),
  setting(
    'tls-client-ca',
    'FILE',
    "PEM certificates that sign those of clients; the common name in a client's certificate is its user",
    (settings, value, from) => {
      settings.tlsClientCa = text(value, from)
    },
  ),
  setting('tls-require-client-certificate', undefined, 'refuse TLS clients without a certificate', (settings, value, from) => {
    settings.tlsRequireClientCertificate = yesOrNo(value, from)
  }),
  setting('tls-only', undefined, 'refuse clients that do not begin with TLS', (settings, value, from) => {
    settings.tlsOnly = yesOrNo(value, from)
  }),
  setting(
    'token-keys',
    'FILE|URL',
    'JSON Web Key Set whose keys sign tokens that are good as logins (SASL OAUTHBEARER, HTTP Bearer, AMQP passwords)',
    (settings, value, from) => {
      settings.tokenKeys = text(value, from)
    },
  ),
  setting('token-issuer', 'TEXT', 'the claim iss that tokens must have (default any)', (settings, value, from) => {
    settings.tokenIssuer = text(value, from)
  }),
  setting('token-audience', 'TEXT', 'the claim aud that tokens must have (default any)', (settings, value, from) => {
    settings.tokenAudience = text(value, from)
  }),
  setting('token-user-claim', 'NAME', 'the claim that names the user (default sub)', (settings, value, from) => {
    settings.tokenUserClaim = text(value, from)
  }),
  setting(
    'token-scope-prefix',
    'TEXT',
    "what the scopes of tokens begin with (rabbitmq.) that say what their holders may do (read:VHOST/NAME, write:, configure:, tag:), in place of the user's permissions",
    (settings, value, from) => {
      settings.tokenScopePrefix = text(value, from)
    },
  ),
]

/** Options of every command that resolves settings. */
export const settingsOptions: readonly OptionSpec[] = [
  ...settingsTable,
  { name: 'config', value: 'FILE', help: 'YAML file with the same settings (and limits, users, nats)' },
]

/** Variables that are not settings of the broker: what `anymq env` prints and the client commands read. */
export const clientVariables = ['ANYMQ_URL', 'ANYMQ_USER', 'ANYMQ_PASSWORD'] as const

const limitNames = [
  'recordBytesMax',
  'frameBytesMax',
  'connectionsMax',
  'channelsMax',
  'outboundBytesMax',
  'topicsMax',
  'inFlightMax',
  'memoryBytesMax',
] as const satisfies readonly (keyof Limits)[]

export function resolveSettings(parsed: ParsedArguments, environment: NodeJS.ProcessEnv): Settings {
  const settings: Settings = {
    data: './anymq-data',
    host: '127.0.0.1',
    only: null,
    enable: [],
    ports: new Map(),
    portOffset: 0,
    advertise: new Map(),
    durability: 'fsync',
    insecure: false,
    webSocketCompression: false,
    skipTakenPorts: false,
    logLevel: 'info',
    tlsCertificate: null,
    tlsKey: null,
    tlsClientCa: null,
    tlsRequireClientCertificate: false,
    tlsOnly: false,
    tokenKeys: null,
    tokenIssuer: null,
    tokenAudience: null,
    tokenUserClaim: null,
    tokenScopePrefix: null,
    limits: {},
    users: [],
    protocolSettings: new Map(),
  }
  refuseUnknownVariables(environment)
  const configFile = parsed.options.get('config')?.at(-1) ?? environment['ANYMQ_CONFIG']
  if (configFile !== undefined) applyFile(settings, configFile)
  for (const each of settingsTable) {
    const value = environment[each.variable]
    if (value !== undefined) each.apply(settings, value, each.variable)
    for (const written of parsed.options.get(each.name) ?? []) each.apply(settings, written, `--${each.name}`)
  }
  return settings
}

function refuseUnknownVariables(environment: NodeJS.ProcessEnv): void {
  const known = new Set<string>([...settingsTable.map((each) => each.variable), 'ANYMQ_CONFIG', ...clientVariables])
  for (const name of Object.keys(environment)) {
    if (name.startsWith('ANYMQ_') && !known.has(name)) throw new UsageError(`unknown variable ${name}${didYouMean(name, known)}`)
  }
}

function applyFile(settings: Settings, file: string): void {
  let content: unknown
  try {
    content = parseYaml(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new UsageError(`configuration file ${file}: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  if (content === null || content === undefined) return
  const known = new Map(settingsTable.map((each) => [each.key, each]))
  for (const [key, value] of Object.entries(mapping(content, file))) {
    const from = `${file}: ${key}`
    if (key === 'limits') settings.limits = limits(value, from)
    else if (key === 'users') settings.users = users(value, from)
    else if (configuredProtocols().includes(key)) settings.protocolSettings.set(key, mapping(value, from))
    else {
      const entry = known.get(key)
      if (entry === undefined)
        throw new UsageError(
          `${file}: unknown key ${key}${didYouMean(key, [...known.keys(), 'limits', 'users', ...configuredProtocols()])}`,
        )
      entry.apply(settings, value, from)
    }
  }
}

function limits(value: unknown, from: string): Partial<Limits> {
  const found: { -readonly [Name in keyof Limits]?: number } = {}
  for (const [key, written] of Object.entries(mapping(value, from))) {
    const name = limitNames.find((each) => each === key)
    if (name === undefined) throw new UsageError(`${from}: unknown limit ${key}${didYouMean(key, limitNames)}`)
    found[name] = wholeNumber(written, `${from}.${key}`, 1, Number.MAX_SAFE_INTEGER)
  }
  return found
}

function users(value: unknown, from: string): ConfiguredUser[] {
  if (!Array.isArray(value)) throw new UsageError(`${from} must be a list of users, each with name and password`)
  return value.map((each, index) => user(mapping(each, `${from}[${index}]`), `${from}[${index}]`))
}

function user(fields: Record<string, unknown>, from: string): ConfiguredUser {
  const known = ['name', 'password', 'signingSecret', 'admin', 'permissions']
  for (const key of Object.keys(fields)) {
    if (!known.includes(key)) throw new UsageError(`${from}: unknown key ${key}${didYouMean(key, known)}`)
  }
  const { signingSecret, admin, permissions } = fields
  return {
    name: text(fields['name'], `${from}.name`),
    password: text(fields['password'], `${from}.password`),
    ...(signingSecret === undefined ? {} : { signingSecret: text(signingSecret, `${from}.signingSecret`) }),
    ...(admin === undefined ? {} : { admin: yesOrNo(admin, `${from}.admin`) }),
    ...(permissions === undefined ? {} : { permissions: permissionList(permissions, `${from}.permissions`) }),
  }
}

/** Patterns left out allow nothing. */
export function permissionList(value: unknown, from: string): Permission[] {
  if (!Array.isArray(value)) throw new UsageError(`${from} must be a list`)
  return value.map((each, index) => {
    const at = `${from}[${index}]`
    const { namespace = 'default', publish = '', consume = '', manage = '', ...rest } = mapping(each, at)
    const unknown = Object.keys(rest)[0]
    if (unknown !== undefined)
      throw new UsageError(`${at}: unknown key ${unknown}${didYouMean(unknown, ['namespace', 'publish', 'consume', 'manage'])}`)
    const permission = {
      namespace: text(namespace, `${at}.namespace`),
      publish: pattern(publish, `${at}.publish`),
      consume: pattern(consume, `${at}.consume`),
      manage: pattern(manage, `${at}.manage`),
    }
    return permission
  })
}

function setting(name: string, value: string | undefined, help: string, apply: Setting['apply']): Setting {
  return {
    name,
    ...(value === undefined ? {} : { value }),
    help,
    apply,
    variable: `ANYMQ_${name.toUpperCase().replaceAll('-', '_')}`,
    key: name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
  }
}

/** What the settings say of TLS, or null when it is not configured; half a configuration is an error. */
export function tlsSettings(settings: Settings): TlsSettings | null {
  const { tlsCertificate, tlsKey, tlsClientCa, tlsRequireClientCertificate, tlsOnly } = settings
  if (tlsCertificate === null && tlsKey === null) {
    if (tlsClientCa !== null || tlsRequireClientCertificate || tlsOnly)
      throw new UsageError('TLS needs --tls-certificate and --tls-key')
    return null
  }
  if (tlsCertificate === null || tlsKey === null) throw new UsageError('--tls-certificate and --tls-key go together')
  if (tlsRequireClientCertificate && tlsClientCa === null)
    throw new UsageError('--tls-require-client-certificate needs --tls-client-ca')
  return {
    certificateFile: tlsCertificate,
    keyFile: tlsKey,
    clientCaFile: tlsClientCa,
    requireClientCertificate: tlsRequireClientCertificate,
    refusePlainText: tlsOnly,
  }
}

/** What the settings say of tokens, or null when none are accepted. */
export function tokenSettings(settings: Settings): TokenSettings | null {
  const { tokenKeys, tokenIssuer: issuer, tokenAudience: audience, tokenUserClaim, tokenScopePrefix: scopePrefix } = settings
  if (tokenKeys !== null) return { keySet: tokenKeys, issuer, audience, userClaim: tokenUserClaim ?? 'sub', scopePrefix }
  if ([issuer, audience, tokenUserClaim, scopePrefix].some((each) => each !== null))
    throw new UsageError('tokens need --token-keys')
  return null
}

function portPairs(value: unknown, from: string): [string, number][] {
  return listenerPairs(value, from, 'kafka=9093').map(([name, port]) => [name, wholeNumber(port, `${from} ${name}`, 0, 65535)])
}

/** `NAME=VALUE,…` or a mapping, the names those of listeners. */
function listenerPairs(value: unknown, from: string, example: string): [string, unknown][] {
  const pairs: [string, unknown][] =
    typeof value === 'string'
      ? value.split(',').map((pair): [string, unknown] => {
          const equals = pair.indexOf('=')
          if (equals === -1) throw new UsageError(`${from}: "${pair}" is not NAME=VALUE, for example ${example}`)
          return [pair.slice(0, equals).trim(), pair.slice(equals + 1)]
        })
      : Object.entries(mapping(value, from))
  const known = knownListeners()
  for (const [name] of pairs) {
    if (!known.includes(name)) throw new UsageError(`${from}: unknown listener ${name}${didYouMean(name, known)}`)
  }
  return pairs
}

function addressPairs(value: unknown, from: string): [string, Address][] {
  return listenerPairs(value, from, 'kafka=broker.example:19092').map(([name, written]) => {
    const address = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text(written, `${from} ${name}`).trim())
    if (address === null) throw new UsageError(`${from} ${name}: "${String(written)}" is not HOST:PORT`)
    return [name, { host: address[1] ?? address[2] ?? '', port: wholeNumber(address[3], `${from} ${name}`, 1, 65535) }]
  })
}

function names(value: unknown, from: string): string[] {
  const written = Array.isArray(value) ? value.map((each) => text(each, from)) : text(value, from).split(',')
  const known = knownProtocols()
  return written.map((each) => {
    const name = each.trim()
    if (!known.includes(name)) throw new UsageError(`${from}: unknown protocol ${name}${didYouMean(name, known)}`)
    return name
  })
}

function mapping(value: unknown, from: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError(`${from} must be a mapping of names to values`)
  return value as Record<string, unknown> // checked in the line above
}

function text(value: unknown, from: string): string {
  if (typeof value !== 'string' || value === '') throw new UsageError(`${from} must be a text that is not empty`)
  return value
}

function pattern(value: unknown, from: string): string {
  if (typeof value !== 'string') throw new UsageError(`${from} must be a regular expression`)
  try {
    new RegExp(value)
  } catch {
    throw new UsageError(`${from}: ${value} is not a regular expression`)
  }
  return value
}

function wholeNumber(value: unknown, from: string, min: number, max: number): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number) || number < min || number > max) {
    throw new UsageError(`${from} must be a whole number between ${min} and ${max}, not ${String(value)}`)
  }
  return number
}

function oneOf<Choice extends string>(value: unknown, from: string, choices: readonly Choice[]): Choice {
  const found = choices.find((choice) => choice === value)
  if (found === undefined) throw new UsageError(`${from} must be one of ${choices.join(', ')}, not ${String(value)}`)
  return found
}

function yesOrNo(value: unknown, from: string): boolean {
  if (value === true || value === 'true' || value === '1' || value === 'yes') return true
  if (value === false || value === 'false' || value === '0' || value === 'no') return false
  throw new UsageError(`${from} must be true or false, not ${String(value)}`)
}

/** The port of a listener: as given, else its default with the offset. */
export function portOf(settings: Settings, listener: string): number {
  const given = settings.ports.get(listener)
  if (given !== undefined) return given
  const standard =
    listener === 'http'
      ? httpDefaultPort
      : protocolTable.flatMap((entry) => entry.listeners).find((each) => each.name === listener)?.port
  if (standard === undefined) throw new UsageError(`unknown listener ${listener}`)
  const port = standard + settings.portOffset
  if (port < 1 || port > 65535)
    throw new UsageError(
      `with the port offset ${settings.portOffset}, ${listener} would listen on ${port}: ports end at 65535; give it another with --port ${listener}=N, or leave it out (--only)`,
    )
  return port
}
