sSELECT grade, COUNT(*) FROM surveys WHERE school_year = ? AND grade IN ($1, $2) GROUP BY grade -- enclave: rho=0.02 purpose="a b" preview
