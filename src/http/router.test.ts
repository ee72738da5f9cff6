import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Method, Route } from './route.ts'
import { Router } from './router.ts'

function route(method: Method, path: string): Route {
  return { method, path, tag: '', summary: '', handle: () => path }
}

const router = new Router([
  route('GET', '/v1/topics'),
  route('GET', '/v1/topics/{topic}'),
  route('GET', '/v1/topics/{topic}/records'),
  route('GET', '/v1/topics/{topic}/records/stream'),
  route('DELETE', '/v1/topics/{topic}'),
])

test('parameters are decoded, slashes in them included', () => {
  const found = router.find('GET', '/v1/topics/a%2Fb%20c/records')
  assert('route' in found)
  assert.equal(found.route.path, '/v1/topics/{topic}/records')
  assert.equal(found.parameters.get('topic'), 'a/b c')
})

test('a path without the method lists the methods it has', () => {
  assert.deepEqual(router.find('PUT', '/v1/topics/a'), { allowed: ['GET', 'DELETE'] })
})

test('an unknown path, and one that is not well encoded, has no methods', () => {
  assert.deepEqual(router.find('GET', '/v1/nothing'), { allowed: [] })
  assert.deepEqual(router.find('GET', '/v1/topics/%zz'), { allowed: [] })
})
