import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Runs a client program's cases and reports each as one line of JSON, which run.ts turns into a test. */
final class Cases {
  interface Body { void run() throws Exception; }

  private final Map<String, Body> cases = new LinkedHashMap<>();
  private static final long CASE_MS = Long.parseLong(System.getenv().getOrDefault("CASE_MS", "30000"));

  Cases add(String name, Body body) {
    cases.put(name, body);
    return this;
  }

  void run() {
    String only = System.getenv("CASE");
    cases.forEach((name, body) -> {
      if (only != null && !name.contains(only)) return;
      long started = System.nanoTime();
      String error = null;
      CompletableFuture<Void> done = new CompletableFuture<>();
      Thread thread = new Thread(() -> {
        try {
          body.run();
          done.complete(null);
        } catch (Throwable cause) {
          done.completeExceptionally(cause);
        }
      });
      thread.setDaemon(true);
      thread.start();
      try {
        done.get(CASE_MS, TimeUnit.MILLISECONDS);
      } catch (ExecutionException cause) {
        StringWriter text = new StringWriter();
        cause.getCause().printStackTrace(new PrintWriter(text));
        error = text.toString();
      } catch (TimeoutException | InterruptedException cause) {
        StringBuilder text = new StringBuilder(name + ": not done within " + CASE_MS + " ms");
        for (StackTraceElement element : thread.getStackTrace()) text.append("\n  at ").append(element);
        error = text.toString();
      }
      long ms = (System.nanoTime() - started) / 1_000_000;
      System.out.println("{\"case\":" + quote(name) + ",\"ok\":" + (error == null) + ",\"ms\":" + ms
          + (error == null ? "" : ",\"error\":" + quote(error)) + "}");
    });
    System.out.println("{\"done\":true}");
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  static String unique(String prefix) {
    return prefix + "." + ProcessHandle.current().pid() + "." + Long.toString(System.nanoTime() % 1_000_000, 36);
  }

  static void equal(Object got, Object want, String what) {
    if (!Objects.equals(got, want)) throw new AssertionError(what + ": got " + got + ", expected " + want);
  }

  static void check(boolean holds, String what) {
    if (!holds) throw new AssertionError(what);
  }

  private static String quote(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') out.append('\\').append(c);
      else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }
}
