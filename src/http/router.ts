/** Finds the route of a request by walking a tree of path segments; a literal segment goes before a parameter. */
import type { Method, Route } from './route.ts'

interface Node {
  readonly literal: Map<string, Node>
  parameter: Node | null
  readonly routes: Map<Method, Route>
}

export interface Match {
  readonly route: Route
  readonly parameters: ReadonlyMap<string, string>
}

export class Router {
  readonly #root = newNode()

  constructor(routes: readonly Route[]) {
    for (const route of routes) this.#add(route)
  }

  /** `allowed` is empty when no such path exists; otherwise it lists the path's methods, for a 405. */
  find(method: string, path: string): Match | { readonly allowed: readonly Method[] } {
    const segments = decodeSegments(path)
    if (segments === null) return { allowed: [] }
    const node = walk(this.#root, segments, 0)
    if (node === null) return { allowed: [] }
    const route = node.routes.get(method as Method) // an unknown method is simply not in the map
    if (route === undefined) return { allowed: [...node.routes.keys()] }
    const parameters = new Map<string, string>()
    splitPath(route.path).forEach((segment, index) => {
      if (segment.startsWith('{')) parameters.set(segment.slice(1, -1), segments[index] ?? '')
    })
    return { route, parameters }
  }

  #add(route: Route): void {
    let node = this.#root
    for (const segment of splitPath(route.path)) {
      if (segment.startsWith('{')) node = node.parameter ??= newNode()
      else {
        const next = node.literal.get(segment) ?? newNode()
        node.literal.set(segment, next)
        node = next
      }
    }
    if (node.routes.has(route.method)) throw new Error(`two routes for ${route.method} ${route.path}`)
    node.routes.set(route.method, route)
  }
}

function newNode(): Node {
  return { literal: new Map(), parameter: null, routes: new Map() }
}

function walk(node: Node, segments: readonly string[], at: number): Node | null {
  const segment = segments[at]
  if (segment === undefined) return node.routes.size > 0 ? node : null
  const literal = node.literal.get(segment)
  if (literal !== undefined) {
    const found = walk(literal, segments, at + 1)
    if (found !== null) return found
  }
  return node.parameter === null ? null : walk(node.parameter, segments, at + 1)
}

function splitPath(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '')
}

/** null when a segment is not well-formed percent-encoding. */
function decodeSegments(path: string): string[] | null {
  try {
    return splitPath(path).map(decodeURIComponent)
  } catch {
    return null // decodeURIComponent's only error; the caller answers 404
  }
}
