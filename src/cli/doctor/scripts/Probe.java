import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Probe {
    public static void main(String[] arguments) throws Exception {
        URI at = URI.create(arguments[1]);
        if (arguments[0].equals("HttpClient")) {
            HttpRequest request = HttpRequest.newBuilder(at).build();
            HttpClient client = HttpClient.newHttpClient();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
        } else {
            System.out.println(new String(at.toURL().openConnection().getInputStream().readAllBytes()));
        }
        // Threads of a client in the background would keep it waiting.
        System.exit(0);
    }
}
