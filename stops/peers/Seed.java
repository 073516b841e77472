// Contender: the JDK's own means. Work in a ThreadPoolExecutor, the job in a scheduled executor, and each part closed by a shutdown hook of
// its own, as client libraries and https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/lang/Runtime.html#addShutdownHook(java.lang.Thread)
// have it (hooks run at the same time, in no order); the pool waits for its tasks as the documentation of ExecutorService shows.
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

public class Seed {
    static volatile byte[] cached = new byte[0];

    static String env(String name) {
        return System.getenv(name);
    }

    static synchronized void ledger(String line) {
        try {
            Files.writeString(Path.of(env("LEDGER")), line + "\n", StandardOpenOption.APPEND);
        } catch (IOException error) {
            System.err.println(error);
        }
    }

    /** One connection, as much of the protocol as an INCR needs. */
    static final class Redis {
        final Socket socket;
        final OutputStream output;
        final BufferedReader input;

        Redis(URI uri) throws IOException {
            socket = new Socket(uri.getHost(), uri.getPort());
            socket.setTcpNoDelay(true);
            output = socket.getOutputStream();
            input = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.US_ASCII));
        }

        synchronized void increment() throws IOException {
            output.write("*2\r\n$4\r\nINCR\r\n$7\r\ncounter\r\n".getBytes(StandardCharsets.US_ASCII));
            String answer = input.readLine();
            if (answer == null || !answer.startsWith(":")) {
                throw new IOException("Redis answered " + answer);
            }
        }

        void close() {
            try {
                socket.close();
            } catch (IOException error) {
                System.err.println(error);
            }
        }
    }

    static void close(ExecutorService pool) {
        pool.shutdown();
        try {
            pool.awaitTermination(Long.parseLong(env("DEADLINE_MS")), TimeUnit.MILLISECONDS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    public static void main(String[] args) throws Exception {
        Redis redis = new Redis(URI.create(env("REDIS_URL")));
        ExecutorService pool = Executors.newFixedThreadPool(Integer.parseInt(env("WORKERS")));
        ScheduledExecutorService jobs = Executors.newSingleThreadScheduledExecutor();
        long work = Long.parseLong(env("WORK_MS"));
        Runtime.getRuntime().addShutdownHook(new Thread(redis::close));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(pool)));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(jobs)));

        jobs.scheduleWithFixedDelay(() -> {
            ledger("begin");
            try {
                // No driver comes with the JDK: the file is read, and takes as long.
                byte[] rows = Files.readAllBytes(Path.of(env("DATABASE")));
                Thread.sleep(20);
                cached = rows;
                ledger("end");
            } catch (Exception error) {
                ledger("failed " + error);
            }
        }, 0, 100, TimeUnit.MILLISECONDS);

        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(env("PORT"))), 1024);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/incr", exchange -> {
            int status = 202;
            try {
                pool.execute(() -> {
                    try {
                        Thread.sleep(work);
                        redis.increment();
                    } catch (Exception error) {
                        ledger("increment " + error);
                    }
                });
            } catch (RejectedExecutionException shutting) {
                status = 503;
            }
            exchange.sendResponseHeaders(status, -1);
            exchange.close();
        });
        server.createContext("/cached", exchange -> {
            exchange.sendResponseHeaders(200, cached.length == 0 ? -1 : cached.length);
            exchange.getResponseBody().write(cached);
            exchange.close();
        });
        server.start();
        System.out.println("READY");
    }
}
