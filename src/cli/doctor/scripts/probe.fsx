let client = new System.Net.Http.HttpClient()
printfn "%s" (client.GetStringAsync(fsi.CommandLineArgs.[1]).Result)
