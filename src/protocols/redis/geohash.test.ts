import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { distance, geohashOf, isInBox, placeOf, scoreOf } from './geohash.ts'

const palermo = { longitude: 13.361389, latitude: 38.115556 }
const catania = { longitude: 15.087269, latitude: 37.502669 }

test('scores, hashes and distances are those of Redis', () => {
  assert.equal(scoreOf(palermo), 3479099956230698)
  assert.equal(scoreOf(catania), 3479447370796909)
  assert.equal(geohashOf(scoreOf(palermo)), 'sqc8b49rny0')
  assert.equal(distance(placeOf(scoreOf(palermo)), placeOf(scoreOf(catania))).toFixed(4), '166274.1516')
})

test('a place comes back from its score within a metre', () => {
  fc.assert(
    fc.property(
      fc.double({ min: -180, max: 180, noNaN: true }),
      fc.double({ min: -85, max: 85, noNaN: true }),
      (longitude, latitude) => {
        const place = { longitude, latitude }
        assert.ok(distance(place, placeOf(scoreOf(place))) < 1)
      },
    ),
  )
})

test('a box is as wide as it is at each latitude', () => {
  assert.equal(isInBox(palermo, catania, 400_000, 200_000), true)
  assert.equal(isInBox(palermo, catania, 300_000, 200_000), false)
  assert.equal(isInBox(palermo, catania, 400_000, 100_000), false)
})
