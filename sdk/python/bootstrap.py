import os,sys,types
def r(n):
    b=b""
    while len(b)<n:
        c=os.read(0,n-len(b))
        if not c:os._exit(0)
        b+=c
    return b
m=types.ModuleType("ebbtide_worker")
sys.modules[m.__name__]=m
m._source=r(int.from_bytes(r(4),"little"))
exec(compile(m._source,"<ebbtide_worker>","exec"),m.__dict__)
m.main()
