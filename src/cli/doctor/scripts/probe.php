if ($argv[1] === "curl") {
    $call = curl_init($argv[2]);
    curl_setopt_array($call, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 15]);
    $text = curl_exec($call);
    if ($text === false) fwrite(STDERR, curl_error($call) . "\n");
} else {
    $text = file_get_contents($argv[2]);
}
echo $text === false ? "" : $text;
exit($text === false ? 1 : 0);
