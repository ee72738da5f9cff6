/** Who somebody is, and what he may do. */
import type { Connection } from './connections.ts'

export type Credential =
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  /** The protocol checked it itself and it held: a SCRAM exchange ({@link Broker.scramVerifier}), or a signature ({@link UserAdmin.signingSecret}). */
  | { readonly kind: 'proven'; readonly user: string }
  /** {@link Connection.peerName}: who signed the client's certificate says that it is this user. */
  | { readonly kind: 'certificate'; readonly user: string }
  /** A signed token that names its user: only where {@link Broker.tokensAccepted}. The user need not be one of the broker's: then rules alone say what it may do,
   *  and the token's scopes where they are read. */
  | { readonly kind: 'token'; readonly token: string }

export interface Principal {
  readonly user: string
  /** The address it logged in from, as {@link Connection.remoteAddress} has it. Absent: it is nobody's client. */
  readonly from?: string
  /** When the login stops being good, ms since the epoch. Absent: it does not. */
  readonly expiresAt?: number
  /** Words like those of {@link UserListing}, of this login alone, in place of its user's. Absent: the user's count. */
  readonly tags?: readonly string[]
  /** Whether it may do anything in a namespace. Absent: its user's permissions say so. */
  enters?(namespace: string): boolean
  /** `kind` is what the name is of; a topic when left out (exchanges count as such). */
  may(action: Action, namespace: string, name: string, kind?: ResourceKind): boolean
  /** Whether it may do so with every name of topics, so that it need not be asked for each. Absent: that is not known. */
  mayAll?(action: Action, namespace: string): boolean
  /** Whether a rule says no, whatever else says yes. Absent: none does. */
  denies?(action: Action, namespace: string, name: string, kind?: ResourceKind): boolean
  /** Whether it may publish with this routing key to, or bind it from, an exchange of the kind `topic`. Absent: any key. */
  mayUseKey?(action: 'publish' | 'consume', namespace: string, exchange: string, key: string): boolean
  /** See {@link UserListing.operations}: what is said of one protocol, the same array until it changes. Null: nothing. Absent: nothing is of any. */
  operations?(protocol: string): readonly string[] | null
}

/** For permissions, which know three, `manage` stands for all that change a thing, and whoever may do any of the three may describe it. */
export type Action =
  | 'publish'
  | 'consume'
  | 'manage'
  | 'create'
  | 'delete'
  | 'alter'
  | 'configure'
  | 'describe'
  | 'describeConfig'
  /** What the nodes of a cluster do among themselves. */
  | 'operate'

/** `cluster` has no name and no permissions: administrators may, and whom a rule allows. */
export type ResourceKind = 'topic' | 'group' | 'transaction' | 'cluster'

/** Beside permissions: allows or denies one action, or all, on one name or all that begin with it. See broker/rules.ts. */
export interface AccessRule {
  readonly namespace: string
  readonly kind: ResourceKind
  readonly match: 'exact' | 'prefix'
  /** `*` with an exact match: every name. */
  readonly name: string
  /** `*`: every user. */
  readonly user: string
  /** Where the user's client has to come from: an IP address, or a network (`10.0.0.0/8`). `*`: anywhere. */
  readonly from: string
  readonly action: Exclude<Action, 'manage'> | 'all'
  readonly effect: 'allow' | 'deny'
}

export interface RuleAdmin {
  list(): AccessRule[]
  /** Rejects with Invalid, or Full. What is there already stays. */
  add(rules: readonly AccessRule[]): Promise<void>
  remove(rules: readonly AccessRule[]): Promise<void>
}

/** Limits of one namespace or one user; what is left out is without limit, beside those of the broker. */
export interface Quota {
  readonly of: 'namespace' | 'user'
  readonly name: string
  /** Connections that have logged in, in all protocols together. */
  readonly connectionsMax?: number
  /** Topics of a namespace; those that are there stay. */
  readonly topicsMax?: number
  /** What a protocol counts itself, by its own name for it. */
  readonly others?: Readonly<Record<string, number>>
}

export interface QuotaAdmin {
  list(): Quota[]
  of(kind: Quota['of'], name: string): Quota | undefined
  /** Replaces; one without any limit is removed. It goes with its namespace or user. Rejects with Invalid, or Full. */
  put(quota: Quota): Promise<void>
}

export interface ScramVerifier {
  readonly salt: Buffer
  readonly iterations: number
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

export interface UserAdmin {
  list(): UserListing[]
  /** Creates or changes; what is left out stays. */
  put(name: string, options: UserChange): Promise<void>
  /**
   * As {@link put}, with what `decide` says of the user as it is: no other change of any user comes between the two. It must not change users itself. Nothing
   * changes where it says null, or throws.
   */
  change(
    name: string,
    decide: (present: UserListing | undefined) => UserChange | null | Promise<UserChange | null>,
  ): Promise<void>
  /** `check`, which may throw, is called when no other change can come between it and the deletion. */
  delete(name: string, check?: () => void): Promise<boolean>
  /** What a password is checked against, for carrying users elsewhere; undefined for an unknown user. */
  verifier(name: string): PasswordVerifier | undefined
  /**
   * A protocol keeps what {@link UserListing.operations} says of it, and nothing is stored there of others. `check` rejects with Invalid what it cannot keep.
   */
  keepOperations(protocol: string, check: (words: readonly string[]) => Promise<void>): void
  /** What a user may do, whether it can log in or not. */
  principal(name: string): Principal
  /** See {@link UserChange.signingSecret}; undefined for an unknown user and one that has none. */
  signingSecret(name: string): string | undefined
  /**
   * Sets or removes what one SCRAM mechanism checks, and creates the user where there is none. A password that was set otherwise is forgotten: from
   * then on this one counts, wherever a password is asked for.
   */
  putScram(name: string, mechanism: ScramMechanism, verifier: ScramVerifier | null): Promise<void>
}

export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

export interface UserListing {
  readonly name: string
  /** May do everything. */
  readonly admin: boolean
  /** Words that say which parts of administration a user sees; the broker itself keeps them only. */
  readonly tags: string[]
  readonly permissions: Permission[]
  readonly keyPermissions: KeyPermission[]
  /** Cannot log in, in whatever way. Who has logged in stays. */
  readonly disabled: boolean
  /** By the name of a protocol, and in its words: which of its operations the user may use, within his permissions. Of others: all that these allow. */
  readonly operations: Operations
}

export type Operations = Readonly<Record<string, readonly string[]>>

export interface UserChange {
  readonly password?: string
  /** In place of a password, where only its hash is known. */
  readonly verifier?: PasswordVerifier
  /**
   * What the user's requests are signed with, where a protocol signs them and the broker has to know the same secret: it is stored as it is, so it
   * should not be the password. null: none.
   */
  readonly signingSecret?: string | null
  readonly admin?: boolean
  readonly tags?: readonly string[]
  readonly permissions?: readonly Permission[]
  readonly keyPermissions?: readonly KeyPermission[]
  readonly disabled?: boolean
  /** Replaces those of all protocols. */
  readonly operations?: Operations
}

/** All in base64. `none`: nobody can log in with a password; `any`: with every one, where passwords are sent. sha256, sha512: digest(salt, password), replaced at the first login. */
export type PasswordVerifier =
  | { readonly algorithm: 'none' | 'any' }
  | { readonly algorithm: 'scrypt' | 'sha256' | 'sha512'; readonly salt: string; readonly hash: string }

/** Patterns are regular expressions matched against the whole name. */
export interface Permission {
  readonly namespace: string
  readonly publish: string
  readonly consume: string
  readonly manage: string
}

/** What routing keys a user may use with one exchange of the kind `topic`; without a rule for it, any. */
export interface KeyPermission {
  readonly namespace: string
  readonly exchange: string
  readonly publish: string
  readonly consume: string
}
