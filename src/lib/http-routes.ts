/** Which route a request takes: paths whose segments may be parameters (`/topics/:topic`). A literal segment goes before a parameter. */

export interface RoutePattern {
  readonly method: string
  readonly path: string
}

export interface RouteMatch<Route> {
  readonly route: Route
  readonly parameters: ReadonlyMap<string, string>
}

export class Routes<Route extends RoutePattern> {
  readonly #routes: readonly { readonly segments: readonly string[]; readonly route: Route }[]
  readonly #split: (path: string) => string[]

  /** `split`: a path's segments, still encoded; as a rule empty ones do not count. */
  constructor(routes: readonly Route[], split: (path: string) => string[] = filledSegments) {
    this.#split = split
    const weight = (segments: readonly string[]): string => segments.map((each) => (each.startsWith(':') ? '1' : '0')).join('')
    this.#routes = routes
      .map((route) => ({ segments: split(route.path), route }))
      .sort((a, b) => (weight(a.segments) < weight(b.segments) ? -1 : 1))
  }

  /** The route, or the methods that the path has (none: there is no such path). HEAD is a GET. */
  find(method: string, path: string): RouteMatch<Route> | { readonly allowed: readonly string[] } {
    const segments = this.#decoded(path)
    const allowed = new Set<string>()
    for (const { segments: wanted, route } of this.#routes) {
      const parameters = segments === null ? null : match(wanted, segments)
      if (parameters === null) continue
      if (route.method === (method === 'HEAD' ? 'GET' : method)) return { route, parameters }
      allowed.add(route.method)
    }
    return { allowed: [...allowed] }
  }

  /** null when it is not well-formed percent-encoding, decodeURIComponent's only error. */
  #decoded(path: string): string[] | null {
    try {
      return this.#split(path).map(decodeURIComponent)
    } catch {
      return null
    }
  }
}

const filledSegments = (path: string): string[] => path.split('/').filter((segment) => segment !== '')

function match(wanted: readonly string[], segments: readonly string[]): Map<string, string> | null {
  if (wanted.length !== segments.length) return null
  const parameters = new Map<string, string>()
  for (const [index, segment] of segments.entries()) {
    const pattern = wanted[index] ?? ''
    if (pattern.startsWith(':')) parameters.set(pattern.slice(1), segment)
    else if (pattern !== segment) return null
  }
  return parameters
}
