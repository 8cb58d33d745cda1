echo PHP_VERSION, "\n";
if (extension_loaded("curl")) echo "curl\n";
if (extension_loaded("openssl")) echo "streams\n";
