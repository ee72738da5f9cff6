/** What Lua 5.1 does, as its manual and its own implementation have it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compile } from './compiler.ts'
import { installLibrary } from './library.ts'
import { Machine, type MachineHost } from './machine.ts'
import { installStrings } from './strings.ts'
import { LuaError, type LuaValue, suspended } from './value.ts'

function machineFor(host: Partial<MachineHost> = {}): Machine {
  const machine = new Machine({ exhausted: () => 1_000_000, ...host }, 1_000_000)
  installLibrary(machine)
  installStrings(machine)
  return machine
}

function run(source: string): readonly LuaValue[] {
  const machine = machineFor()
  const outcome = machine.begin(machine.function(compile(source, 'user_script')), [])
  if (outcome.kind !== 'done') throw new Error(outcome.kind)
  return outcome.values
}

const cases: readonly (readonly [source: string, expected: unknown])[] = [
  ['return 1+2*3', [7]],
  ['return "a".."b"..1', ['ab1']],
  ['local a,b,c = 1,2 return a,b,c', [1, 2, undefined]],
  ['local t={1,2,3,x=4} return #t, t.x, t[2]', [3, 4, 2]],
  ['local s=0 for i=1,10 do s=s+i end return s', [55]],
  ['local s=0 for i=10,1,-2 do s=s+i end return s', [30]],
  ['local s="" for k,v in ipairs({"a","b"}) do s=s..k..v end return s', ['1a2b']],
  ['local function f(n) if n<2 then return n end return f(n-1)+f(n-2) end return f(15)', [610]],
  ['local fs={} for i=1,3 do fs[i]=function() return i end end return fs[1](),fs[2](),fs[3]()', [1, 2, 3]],

  ['return select("#", pcall(function() return 1,2,3 end))', [4]],
  [
    'local ok,e=pcall(function() local t=nil; return t.x end) return e',
    ["user_script:1: attempt to index local 't' (a nil value)"],
  ],
  ['local ok,e=pcall(function() foo() end) return e', ["user_script:1: attempt to call global 'foo' (a nil value)"]],
  ['local ok,e=pcall(function() return 1 + {} end) return e', ['user_script:1: attempt to perform arithmetic on a table value']],
  ['local ok,e=pcall(function() error("boom") end) return e', ['user_script:1: boom']],
  [
    'local a={} a.b={} function a.b.c(x) return x*2 end function a.b:d(y) return self==a.b, y end return a.b.c(4), a.b:d(5)',
    [8, true, 5],
  ],
  ['local x = 5 x = x and x + 1 return x', [6]],
  ['local x x = (function(...) return select("#",...) end)(1,nil,nil) return x', [3]],
  ['local t={} for w in string.gmatch("one two","%a+") do t[#t+1]=w end return #t,t[2]', [2, 'two']],
  [
    'return string.format("%5.2f|%d|%s|%q|%x|%5s|%-5s|", 3.14159, 42, "hi", "a\\"b", 255, "x", "y")',
    [' 3.14|42|hi|"a\\"b"|ff|    x|y    |'],
  ],
  ['return string.gsub("hello world","o","0")', ['hell0 w0rld', 2]],
  ['return string.gsub("abc","%w","%0%0")', ['aabbcc', 3]],
  ['return string.find("hello","l+")', [3, 4]],
  ['return ("x"):rep(3)', ['xxx']],
  ['return tostring(10/2), 1e15, 2^53, 0.1', ['5', 1e15, 2 ** 53, 0.1]],
  ['return tostring(1e15)..","..tostring(2^53)..","..100000000000000', ['1e+15,9.007199254741e+15,1e+14']],
  [
    'local co=coroutine.create(function(a) local b=coroutine.yield(a+1) return b*2 end) local _,x=coroutine.resume(co,1) local _,y=coroutine.resume(co,10) return x,y,coroutine.status(co)',
    [2, 20, 'dead'],
  ],
  ['local g=coroutine.wrap(function() for i=1,3 do coroutine.yield(i) end end) return g(),g(),g()', [1, 2, 3]],
  [
    'local t=setmetatable({},{__index=function(t,k) return k.."!" end,__call=function(self,x) return x+1 end,__add=function(a,b) return 99 end}) return t.foo,t(1),t+1',
    ['foo!', 2, 99],
  ],
  ['local t={5,2,8,1} table.sort(t) return table.concat(t,",")', ['1,2,5,8']],
  ['local t={5,2,8,1} table.sort(t,function(a,b) return a>b end) return table.concat(t,",")', ['8,5,2,1']],
  ['local i=0 repeat local j=i i=i+1 until j>=3 return i', [4]],
  ['local i=0 while true do i=i+1 if i>5 then break end end return i', [6]],
  ['return not nil == true, 1 < 2, "a" < "b", 1 == 1.0, 2^-1, -2^2, 5 % -3, -5 % 3', [true, true, true, true, 0.5, -4, -1, 1]],
  ['return #"abc", -"2", "10"+5', [3, -2, 15]],
  ['return unpack({1,2,3},2)', [2, 3]],
  ['local t={} t[1]=1 t[2]=2 t[4]=4 t[3]=3 return #t', [4]],
  ['local t={n=1,m=2} for k in pairs(t) do t[k]=nil end return next(t)', [undefined]],
  ['return xpcall(function() error("e",0) end, function(m) return "H:"..m end)', [false, 'H:e']],
  ['local s=0 for i=1,100 do local ok=pcall(function() if i%2==0 then error() end end) if ok then s=s+1 end end return s', [50]],
  ['return (function() return 1,2 end)(), 5', [1, 5]],
  ['return ((function() return 1,2 end)())', [1]],
  ['local function f(...) local a,b=... return a,b,select("#",...) end return f(1,2,3)', [1, 2, 3]],
  ['return loadstring("return 1+1")()', [2]],
  ['local a,b=1,2 a,b=b,a return a,b', [2, 1]],
  ['local t={1,2} local i=1 i,t[i]=i+1,20 return i,t[1]', [2, 20]],
  ['if nil then return 1 elseif false then return 2 else return 3 end', [3]],
  ['local t={(function() return 1,2,3 end)(),(function() return 1,2,3 end)()} return #t', [4]],
  ['return math.max(1,5,3), math.floor(3.7), tonumber("0x10"), tonumber("z",36), tonumber("abc")', [5, 3, 16, 35, undefined]],
  ['local x = 1 local x = x + 1 return x', [2]],
  ['local t = {} t.a = {} t.a.b = 1 t = t.a return t.b', [1]],
  ['return 1 and 2 or 3, nil and 2 or 3, false or nil', [2, 3, undefined]],
  ['local a = 1 == 1 local b = a == (1 ~= 2) return a,b', [true, true]],
  ['local s = 0 for _, v in pairs({1,2,3,a=4}) do s = s + v end return s', [10]],
  ['return string.rep("=", 3) .. [[a\nb]] .. [==[c]]d]==]', ['===a\nbc]]d']],
  ['return ("%d"):format(3.7)', ['3']],
  ['return math.random() == math.random()', [false]],
  ['local function f() return f() end return 1', [1]],
  ['local function r(n) return 1 + r(n+1) end local ok, e = pcall(r, 1) return e', ['user_script:1: stack overflow']],
]

for (const [source, expected] of cases) {
  test(source, () => assert.deepEqual(run(source), expected))
}

test('what is no Lua is refused with its place', () => {
  const refused = (source: string): string => {
    try {
      run(source)
    } catch (cause) {
      assert.ok(cause instanceof LuaError)
      return cause.message
    }
    return ''
  }
  assert.equal(refused('return 1 +'), "user_script:1: unexpected symbol near '<eof>'")
  assert.equal(refused('if true then return 1'), "user_script:1: 'end' expected near '<eof>'")
  assert.equal(refused('\nx ='), "user_script:2: unexpected symbol near '<eof>'")
  assert.equal(refused('local a <const> = 1'), "user_script:1: unexpected symbol near '<'")
  assert.equal(refused('break'), "user_script:1: no loop to break near '<eof>'")
  assert.equal(refused('x = "abc'), "user_script:1: unfinished string near '<eof>'")
  assert.equal(refused('for i=1,"x" do end'), "user_script:1: 'for' limit must be a number")
  assert.equal(refused('return {} < {}'), 'user_script:1: attempt to compare two table values')
  assert.equal(refused('return ("x").y.z'), "user_script:1: attempt to index field 'y' (a nil value)")
})

test('a native function that waits stops the script, which goes on with what came', () => {
  const machine = machineFor()
  machine.globals.set(
    'wait',
    machine.native('wait', () => suspended),
  )
  const source =
    'local a = wait() local ok, b = pcall(wait) local c = coroutine.wrap(function() return wait() end)() return a, ok, b, c'
  assert.equal(machine.begin(machine.function(compile(source, 's')), []).kind, 'waiting')
  assert.equal(machine.resume([1]).kind, 'waiting')
  assert.equal(machine.resume(new LuaError('no')).kind, 'waiting')
  const outcome = machine.resume(['end'])
  assert.ok(outcome.kind === 'done')
  assert.deepEqual(outcome.values, [1, false, 'no', 'end'])
})

test('where it cannot wait, the script hears of it', () => {
  const machine = machineFor()
  machine.globals.set(
    'wait',
    machine.native('wait', () => suspended),
  )
  const source = 'return pcall(table.sort, {2, 1}, function() return wait() end)'
  const outcome = machine.begin(machine.function(compile(source, 's')), [])
  assert.ok(outcome.kind === 'done')
  assert.deepEqual(outcome.values, [false, 'attempt to yield across metamethod/C-call boundary'])
})

test('a loop gives way when its budget is used up, and can be ended', () => {
  let slices = 0
  const machine = machineFor({
    exhausted: () => {
      if (++slices === 3) throw new LuaError('enough')
      return 'pause'
    },
  })
  machine.budget = 100
  const script = machine.function(compile('local n = 0 while true do n = n + 1 end', 's'))
  assert.equal(machine.begin(script, []).kind, 'paused')
  assert.equal(machine.resume([]).kind, 'paused')
  assert.throws(() => machine.resume([]), /enough/)
})
