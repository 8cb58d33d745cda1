// Opens one TLS connection with the default trust manager and says whether the certificate was accepted.
// java -Djavax.net.ssl.trustStore=... Probe.java NAME PORT

import java.net.InetAddress;
import java.util.List;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;

public class Probe {
    public static void main(String[] arguments) throws Exception {
        String name = arguments[0];
        int port = Integer.parseInt(arguments[1]);
        InetAddress loopback = InetAddress.getByAddress(name, new byte[] {127, 0, 0, 1});
        SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
        try (java.net.Socket plain = new java.net.Socket(loopback, port);
                SSLSocket socket = (SSLSocket) factory.createSocket(plain, name, port, true)) {
            socket.setSoTimeout(20_000);
            var parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            if (!Character.isDigit(name.charAt(0))) {
                parameters.setServerNames(List.of(new SNIHostName(name)));
            }
            socket.setSSLParameters(parameters);
            socket.startHandshake();
            System.out.println("accepted");
        } catch (SSLException refused) {
            System.out.println("refused: " + refused.getMessage());
        }
    }
}
