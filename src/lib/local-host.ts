/**
 * While nobody has to log in, a web page must not reach a broker on the reader's own machine: neither by DNS rebinding (a foreign name in
 * Host) nor by a plain cross-origin request (a foreign Origin). Addresses and localhost are fine.
 */
import { isIP } from 'node:net'

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** Why a request is refused, or null. */
export function foreignPage(headers: Headers): string | null {
  const host = text(headers['host']).replace(/:\d+$/, '')
  if (!isLocalName(host))
    return `requests for the host "${host}" are refused while no users are configured; use an address or localhost`
  const origin = text(headers['origin'])
  if (origin === '' || isLocalOrigin(origin)) return null
  return `requests from pages of "${origin}" are refused while no users are configured`
}

function isLocalOrigin(origin: string): boolean {
  const host = /^[a-z][a-z0-9+.-]*:\/\/([^/]*?)(?::\d+)?$/i.exec(origin)?.[1]
  return host !== undefined && isLocalName(host)
}

function isLocalName(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  return bare === '' || bare === 'localhost' || isIP(bare) !== 0
}

const text = (header: string | string[] | undefined): string => (typeof header === 'string' ? header : '')
